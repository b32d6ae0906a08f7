--[[ Let a webhook begin after the last entries that its streams have now; idempotent.
KEYS[1]  how far it has read (hash)   KEYS[2...] events of each kind (stream)
ARGV[1...] field in the hash for each of them
returns  the time of this server, epoch milliseconds
cost     O(1)
]]
local places = KEYS[1]
local fields = {unpack(ARGV, 1)}
for i = 2, #KEYS do
  local last, added = '0-0', '0'
  local info = redis.pcall('XINFO', 'STREAM', KEYS[i])
  for k = 1, info.err and 0 or #info, 2 do
    if info[k] == 'last-generated-id' then last = info[k + 1] end
    if info[k] == 'entries-added' then added = info[k + 1] end
  end
  redis.call('HSETNX', places, fields[i - 1], last .. ' ' .. added)
end
local now = redis.call('TIME')
return now[1] * 1000 + math.floor(now[2] / 1000)
