--[[ Create a managed token: name, credential, metadata, indexes and audit entry, all or nothing.
KEYS[1]  credential (string)          KEYS[2]  reason why it is gone (string)
KEYS[3]  metadata (hash)              KEYS[4]  active tokens (zset)
KEYS[5]  expiries (zset)              KEYS[6]  names (zset)
KEYS[7]  tokens of the creator (zset) KEYS[8]  its block of folded names (string)
KEYS[9]  audit log (stream)
ARGV[1]  id                           ARGV[2]  name followed by NUL
ARGV[3]  member for names             ARGV[4]  its row in the block
ARGV[5]  created, epoch microseconds  ARGV[6]  expires, epoch seconds, 0 for never
ARGV[7]  sealed credential
ARGV[8]  when the reason expires, epoch milliseconds, empty if it is not written yet
ARGV[9]  audit entries to keep        ARGV[10] audit entry, JSON; ARGV[11] its seal
ARGV[12...] fields and values of the metadata
returns  1 created | the id of the token that holds the name; its own id if it was created before
cost     O(log n)
]]
local credential, reason, metadata, on, expiries, names, owned, block, events = unpack(KEYS)
local id, name, member, row, created, expires, record, reason_until, keep, entry, seal = unpack(ARGV)
if redis.call('EXISTS', metadata) == 1 then return id end
local holder = redis.call('ZRANGEBYLEX', names, '[' .. name, '(' .. name .. 'g', 'LIMIT', 0, 1)[1]
-- The holder is this token if an earlier attempt was cut off before the record.
if holder and holder ~= name .. id then return string.sub(holder, #name + 1) end
-- First, so that without the audit entry nothing is changed.
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
redis.call('ZADD', expiries, expires == '0' and created or expires, id)
redis.call('ZADD', on, string.format('%.0f', created + 5e15), id)
redis.call('ZADD', owned, created, id)
-- Only once, and so before the name, which shows that there was an earlier attempt.
local added = not holder and redis.pcall('APPEND', block, row)
-- Another type in its place is ignored. Without the right to append, no search would find the token: then this fails.
if type(added) == 'table' and not string.find(tostring(added.err), 'WRONGTYPE') then return added end
redis.call('ZADD', names, 0, member)
redis.call('HSET', metadata, unpack(ARGV, 12))
if expires == '0' then
  redis.call('SET', credential, record)
else
  redis.call('SET', credential, record, 'PXAT', expires .. '000')
  if reason_until ~= '' then redis.call('SET', reason, 'expired ' .. id, 'PXAT', reason_until) end
end
return 1
