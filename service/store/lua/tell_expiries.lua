--[[ Write why tokens will be gone once their dates have passed, of those whose dates are what they were.
KEYS[1]  expiries (zset)
KEYS[2...] of each: reason it may be gone (string), which stays where there is one
ARGV[1...] of each its id, its date, and when the reason goes, epoch milliseconds
returns  of how many the dates are what they were
cost     O(k log n) for k tokens, at most 50
]]
local expiries = KEYS[1]
local at, told = 1, 0
-- Of nothing: behind this a full server writes on. Without the word no sweep goes on to what frees memory.
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
