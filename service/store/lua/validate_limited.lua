--[[ Read a credential and charge one request to its rate limits (GCRA) and its uses: to all of them or to none.
KEYS[1]  credential (string)   KEYS[2]  metadata (hash)   KEYS[3...] what is due of each rate limit (string)
ARGV[1]  seal of the credential that was evaluated: another one is returned uncharged: its terms may differ
ARGV[2]  1 to spend a use   ARGV[3]  the request's cost   ARGV[4...] of each limit: milliseconds a request, burst
returns  {credential or nil; 1 admitted, 0 refused by a limit, -1 no use left, 2 admitted with a limit paused,
         3 another credential; of each limit: remaining, milliseconds until full, milliseconds until it admits this}
cost     O(limits)
]]
local credential, metadata = unpack(KEYS)
local seal, spends, cost = ARGV[1], ARGV[2], tonumber(ARGV[3])
local record = redis.call('GET', credential)
if not record or string.sub(record, 1, #seal) ~= seal then return {record, 3} end
local left = spends == '1' and redis.call('HGET', metadata, '@uses_left') or '0'
if spends == '1' and not string.find(left, '^%d*[1-9]%d*$') then return {record, -1} end
local verdict, debts, answer, time = 1, {}, {record}, redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
for place = 3, #KEYS do
  local rate = KEYS[place]
  local interval, burst = tonumber(ARGV[place * 2 - 2]), tonumber(ARGV[place * 2 - 1])
  local due = tonumber(redis.call('GET', rate) or '0') or 0
  -- A debt greater than the burst was written down by a clock that has been set back since. Not a number is neither.
  debts[place] = due >= now and due <= now + burst * interval + 1 and due - now or 0
  if debts[place] - (burst - cost) * interval > 0.5 then verdict = 0 end
end
for at = 4, #ARGV, 2 do
  local interval, burst, place, wait = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), at / 2 + 1, 0
  local rate = KEYS[place]
  local debt = debts[place] + (verdict == 0 and 0 or cost * interval)
  if verdict == 0 then wait = math.max(debt - (burst - cost) * interval - 0.5, 0)
  elseif redis.pcall('SET', rate, string.format('%.3f', now + debt), 'PX', math.ceil(debt)).err then verdict = 2 end
  local remaining = math.min(math.floor(burst - debt / interval + 0.001), wait > 0 and cost - 1 or burst)
  answer[at * 1.5 - 3], answer[at * 1.5 - 2], answer[at * 1.5 - 1] = remaining, math.ceil(debt), math.ceil(wait)
end
answer[2] = verdict
if spends ~= '1' or verdict == 0 then return answer end
-- Behind a write that only takes away, a full server lets this one through: uses are counted to the last.
redis.call('HDEL', metadata, '')
redis.call('HINCRBY', metadata, '@uses_left', -1)
return answer
