--[[ Write the limits that all tokens of a subject share, or remove them.
KEYS[1]  limits (string)              KEYS[2]  subjects with limits (zset)
KEYS[3]  audit log (stream)           KEYS[4]  changes to announce (zset)
ARGV[1]  subject                      ARGV[2]  limits, JSON, empty to remove them
ARGV[3]  audit entries to keep        ARGV[4]  audit entry, JSON; ARGV[5] its seal
returns  1 done | 0 there were none to remove
cost     O(log n)
]]
local limits, subjects, events, untold = unpack(KEYS)
local subject, written, keep, entry, seal = unpack(ARGV)
if written == '' then
  redis.call('ZREM', subjects, subject)
  if redis.call('DEL', limits) == 0 then return 0 end
end
-- The entry before the change, except for a removal.
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
redis.call('ZADD', untold, 0, seal .. ' ' .. subject)
if written ~= '' then
  redis.call('SET', limits, written)
  redis.call('ZADD', subjects, 0, subject)
end
return 1
