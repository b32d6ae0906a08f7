--[[ Record a session, unless its user was logged out everywhere since the password was asked for.
KEYS[1]  credential (string)          KEYS[2]  sessions of the user (zset)
KEYS[3]  all sessions (zset)          KEYS[4]  generation of the user (int)
KEYS[5]  audit log (stream)
ARGV[1]  sealed credential
ARGV[2]  member of the indexes
ARGV[3]  expires, epoch seconds
ARGV[4]  generation that was read
ARGV[5]  idle time, milliseconds, 0 disables it
ARGV[6]  audit entries to keep
ARGV[7]  audit entry, JSON
ARGV[8]  seal of the audit entry
returns  1 recorded | 0 logged out meanwhile
cost     O(log n)
]]
local credential, own, all, generation, events = unpack(KEYS)
local record, member, expires, seen, idle, keep, entry, seal = unpack(ARGV)
if (redis.call('GET', generation) or '0') ~= seen then return 0 end
redis.call('SET', credential, record, 'PXAT', expires .. '000')
if idle ~= '0' then redis.call('PEXPIRE', credential, idle) end
local now = redis.call('TIME')[1]
-- Whoever signs in before the last session ends would keep the key, and all that ended, for good.
local ended = redis.call('ZRANGEBYSCORE', own, '-inf', now, 'LIMIT', 0, 100)
if #ended > 0 then redis.call('ZREM', own, unpack(ended)) end
redis.call('ZADD', own, expires, member)
if redis.call('PTTL', own) < 1000 * (expires - now) then redis.call('PEXPIREAT', own, expires .. '000') end
redis.call('ZADD', all, expires, member)
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
return 1
