--[[ Verify and burn a one-time token: exactly one caller gets the record.
KEYS[1]  one-time token (string)      KEYS[2]  outstanding ones (zset)
KEYS[3]  kept answer (string)
ARGV[1]  member of the index
ARGV[2]  digest of the idempotency key, by which a retry of the same request is known; empty without a key
ARGV[3]  how long the answer is kept, milliseconds
returns  the sealed record to its only consumer and to retries of that request
         | empty: spent by a request with another key whose answer is still kept | nil unknown, expired or spent
cost     O(log n)
]]
local token, index, kept = unpack(KEYS)
local member, request, keep = unpack(ARGV)
local record = redis.call('GETDEL', token)
if record then
  if request ~= '' then
    -- If the token was spent in the data that it was issued in, no other request was admitted: then the answer needs
    -- no fence, and is valid after a restart. If INFO is forbidden this is unknown.
    local told = redis.pcall('INFO', 'replication')
    local here = type(told) == 'string' and string.match(told, 'master_replid:(%x+)')
    local mark = string.gsub(string.sub(record, 1, 20), '.', function(sign)
      return string.format('%02x', string.byte(sign))
    end)
    local answer = mark == here and string.rep('\0', 20) .. string.sub(record, 21) or record
    redis.call('SET', kept, request .. answer, 'PX', keep)
  end
  -- After the answer is kept: a retry gets it even if something else is in the place of the index.
  redis.call('ZREM', index, member)
  return record
end
local answer = redis.call('GET', kept)
if not answer then return nil end
if request ~= '' and string.sub(answer, 1, #request) == request then return string.sub(answer, #request + 1) end
return ''
