--[[ Record a session, unless its user was logged out everywhere since the generation was read.
KEYS[1]  credential (string)          KEYS[2]  sessions of the user (zset)
KEYS[3]  all sessions (zset)          KEYS[4]  generation of the user (int)
KEYS[5]  users with sessions (zset)   KEYS[6]  last sign-ins (hash)
KEYS[7]  audit log (stream)
ARGV[1]  sealed credential
ARGV[2]  member of the indexes        ARGV[3]  the user, as a member of the index of users
ARGV[4]  issued, epoch seconds        ARGV[5]  expires, epoch seconds
ARGV[6]  generation that was read
ARGV[7]  when the session ends unless it is used, epoch seconds
ARGV[8]  audit entries to keep
ARGV[9]  audit entry, JSON
ARGV[10] seal of the audit entry
returns  1 recorded | 0 logged out meanwhile
cost     O(log n)
]]
local credential, own, all, generation, users, sign_ins, events = unpack(KEYS)
local record, member, user, issued, expires, seen, ends, keep, entry, seal = unpack(ARGV)
if (redis.call('GET', generation) or '0') ~= seen then return 0 end
-- First, so that without the audit entry nothing is changed.
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
-- The sweep drops ended sessions when a user's last one has ended, which never happens if the user keeps signing in.
local ended = redis.call('ZRANGEBYSCORE', own, '-inf', redis.call('TIME')[1], 'LIMIT', 0, 100)
if #ended > 0 then redis.call('ZREM', own, unpack(ended)) end
redis.call('ZADD', own, expires, member)
redis.call('ZADD', users, 'GT', expires, user)
redis.call('ZADD', all, ends, member)
redis.pcall('HSET', sign_ins, user, issued) -- no reason to refuse a sign-in
-- Last, so that no session is valid that a log-out of its user would not find.
redis.call('SET', credential, record, 'PXAT', ends .. '000')
return 1
