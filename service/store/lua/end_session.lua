--[[ End sessions of one user. Removes before it writes: works on a full server.
KEYS[1]  sessions of the user (zset)  KEYS[2]  all sessions (zset)
KEYS[3]  audit log (stream)
KEYS[4...] credentials (string)
ARGV[1]  audit entries to keep
ARGV[2]  audit entry, JSON, empty for none
ARGV[3]  seal of the audit entry
ARGV[4...] members of the indexes
returns  how many sessions were ended
cost     O(k log n) for k sessions
]]
local own, all, events = KEYS[1], KEYS[2], KEYS[3]
local keep, entry, seal = ARGV[1], ARGV[2], ARGV[3]
local ended = redis.call('DEL', unpack(KEYS, 4))
if ended > 0 and entry ~= '' then
  redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
end
redis.call('ZREM', own, unpack(ARGV, 4))
redis.call('ZREM', all, unpack(ARGV, 4))
return ended
