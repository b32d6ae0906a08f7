--[[ Write the reasons of tokens before they expire, if their dates have not changed since they were read.
KEYS[1]  expiries (zset)
KEYS[2...] for each: reason why it is gone (string); one that is there stays
ARGV[1...] for each its id, its date, and when the reason expires, epoch milliseconds
returns  for how many the dates have not changed
cost     O(k log n) for k tokens, at most 50
]]
local expiries = KEYS[1]
local at, told = 1, 0
-- Removes nothing: after it a full server executes the rest, too. Otherwise the sweep would stop here and free nothing.
redis.call('ZREM', expiries, '')
for place = 2, #KEYS do
  local reason = KEYS[place]
  local id, date, gone = unpack(ARGV, at, at + 2)
  if tonumber(redis.call('ZSCORE', expiries, id) or 0) == tonumber(date) then
    redis.call('SET', reason, 'expired ' .. id, 'NX', 'PXAT', gone)
    told = told + 1
  end
  at = at + 3
end
return told
