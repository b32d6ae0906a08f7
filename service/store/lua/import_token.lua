--[[ Record a token that was made elsewhere, in the state it has there: all or nothing.
KEYS[1]  credential (string)             KEYS[2]  reason it may be gone (string)
KEYS[3]  predecessor in grace (string)   KEYS[4]  reason it may be gone (string)
KEYS[5]  metadata (hash)                 KEYS[6]  active, ended or switched off, or expired tokens (zset)
KEYS[7]  expiries, or purges (zset)      KEYS[8]  names (zset)
KEYS[9]  tokens of the creator (zset)    KEYS[10] imported tokens (zset)
KEYS[11] last uses (zset)      KEYS[12] blocks of folded names (hash)      KEYS[13] audit log (stream)
ARGV[1]  id; ARGV[2] name followed by NUL, empty if it is not looked for here; ARGV[3] member for names, or empty
ARGV[4]  created, epoch microseconds     ARGV[5]  the same, negative for a revoked token
ARGV[6]  when it expires or is purged, epoch seconds, negative if switched off, empty for never
ARGV[7]  sealed credential, empty without; ARGV[8] when it ends, milliseconds, 0 for never
ARGV[9]  why it may be gone, empty if that is not written yet; ARGV[10] when that goes, milliseconds, 0 for never
ARGV[11] sealed predecessor, empty without; ARGV[12] when it ends; ARGV[13] when its reason goes
ARGV[14] 1 for a imported token; ARGV[15] last use, epoch seconds, 0 disables it; ARGV[16] block of names; ARGV[17] its row
ARGV[18] audit entries to keep; ARGV[19] audit entry, JSON; ARGV[20] its seal; ARGV[21...] fields and values
returns  1 recorded | -1 the id is known | -2 a secret is known | the id of the token that holds the name
cost     O(log n)
]]
local credential, reason, older, older_reason, metadata, listed, timers = unpack(KEYS, 1, 7)
local names, owned, imported, used, blocks, events = unpack(KEYS, 8)
local id, name, member, created, place, time, record, record_until, word, word_until = unpack(ARGV, 1, 10)
local older_record, older_until, older_word_until, is_imported, used_at, block, row, keep, entry, seal = unpack(ARGV, 11, 20)
if redis.call('HEXISTS', metadata, '@digest') == 1 then return -1 end
if redis.call('EXISTS', credential, reason, older) > 0 then return -2 end
local holder = name ~= '' and redis.call('ZRANGEBYLEX', names, '[' .. name, '(' .. name .. 'g', 'LIMIT', 0, 1)[1]
if holder and string.sub(holder, #name + 1) ~= id then return string.sub(holder, #name + 1) end
redis.call('DEL', metadata) redis.call('HSET', metadata, unpack(ARGV, 21))
local function put(key, text, till)
  redis.call('SET', key, text) if till ~= '0' then redis.call('PEXPIREAT', key, till) end
end
if record ~= '' then put(credential, record, record_until) end
if word ~= '' then put(reason, word, word_until) end
if older_record ~= '' then put(older, older_record, older_until) put(older_reason, 'revoked ' .. id, older_word_until) end
redis.call('ZADD', listed, place, id) redis.call('ZADD', owned, created, id)
if time ~= '' then redis.call('ZADD', timers, time, id) end if member ~= '' then redis.call('ZADD', names, 0, member) end
if is_imported == '1' then redis.call('ZADD', imported, created, id) end
if used_at ~= '0' then redis.call('ZADD', used, used_at, id) end
redis.call('HSET', blocks, block, (redis.call('HGET', blocks, block) or '') .. row)
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
return 1
