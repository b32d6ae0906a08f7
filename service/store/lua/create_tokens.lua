--[[ Create managed tokens of one creator, each with name, credential, metadata, indexes and audit entry, or not at all.
KEYS[1]  active tokens (zset)         KEYS[2]  expiries (zset)
KEYS[3]  names (zset)                 KEYS[4]  the creator's (zset)
KEYS[5]  audit log (stream)
KEYS[6...] of each: credential, reason it may be gone (string), metadata (hash), its block of folded names (string)
ARGV[1]  audit entries to keep
ARGV[2...] of each as below: `name` ends with NUL, `created` is epoch microseconds, `expires` epoch seconds, 0 for
         never, `reason_until` epoch milliseconds, empty if it is not written yet; then its fields
returns  of each: 1 created | the id of the token that holds the name; its own if it was created before
cost     O(k log n) for k tokens
]]
local on, expiries, names, owned, events = unpack(KEYS, 1, 5)
local at, replies, keep = 2, {}, ARGV[1]
for first = 6, #KEYS, 4 do
  local credential, reason, metadata, block = unpack(KEYS, first, first + 3)
  local id, name, member, row, created, expires, record, reason_until, entry, seal, count = unpack(ARGV, at, at + 10)
  local holder = redis.call('ZRANGEBYLEX', names, '[' .. name, '(' .. name .. 'g', 'LIMIT', 0, 1)[1]
  local reply, fields = holder and string.sub(holder, #name + 1) or id, at + 11
  if redis.call('EXISTS', metadata) == 1 then reply = id
  elseif reply == id then
    -- First, so that without its entry nothing is changed.
    redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
    redis.call('ZADD', expiries, expires == '0' and created or expires, id)
    redis.call('ZADD', on, string.format('%.0f', created + 5e15), id)
    redis.call('ZADD', owned, created, id)
    -- Once, and so before the name, by which an earlier try is known that was cut off before the record.
    if not holder then redis.call('APPEND', block, row) end
    redis.call('ZADD', names, 0, member)
    redis.call('HSET', metadata, unpack(ARGV, fields, fields + count - 1))
    redis.call('SET', credential, record, unpack(expires == '0' and {} or {'PXAT', expires .. '000'}))
    if expires ~= '0' and reason_until ~= '' then
      redis.call('SET', reason, 'expired ' .. id, 'PXAT', reason_until)
    end
    reply = 1
  end
  replies[#replies + 1], at = reply, fields + count
end
return replies
