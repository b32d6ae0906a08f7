--[[ Read a credential and charge one request to its limits and its uses: to all of them or to none.
KEYS[1] credential (string); KEYS[2] metadata (hash); KEYS[3] changed limits (string); KEYS[4...] due or used (string)
ARGV[1] seal evaluated; ARGV[2] 1 to spend a use; ARGV[3] cost, 0 to ask, below: give back; ARGV[4] changes known, or -
ARGV[5...] for each rate limit: milliseconds a request, burst; for each quota: 0, size, begin and end of its window
returns  {credential or nil; 1 admitted, 0 refused by a limit, -1 no use left, 2 admitted with a limit paused, 3 another
         credential, 4 another window (and now, s); for each limit: remaining, ms until full, ms until it admits this}
cost     O(limits)
]]
local credential, metadata, changes = unpack(KEYS, 1, 3)
local seal, spends, cost, known = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local record = redis.call('GET', credential)
if not record or string.sub(record, 1, #seal) ~= seal then return {record, 3} end
local count = known ~= '-' and string.match(redis.call('GET', changes) or '', '^%d+')
if count and tonumber(count) > tonumber(known) then return {record, 3} end
local left = spends == '1' and (redis.call('HGET', metadata, '@uses_left') or '')
if left and not string.find(left, '^%d*[1-9]%d*$') then return {record, -1} end
local at, verdict, answer, limits, time = 5, 1, {record, 1}, {}, redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
for place = 4, #KEYS do
  local rate = KEYS[place]
  local due, interval, burst = tonumber(redis.call('GET', rate) or 0) or 0, tonumber(ARGV[at]), ARGV[at + 1]
  -- A debt beyond the burst was written by a clock that was set back since. NaN fails both comparisons, too.
  local debt, ends = due >= now and due <= now + burst * interval + 1 and due - now or 0
  if interval == 0 then interval, debt, ends = 1, math.max(due, 0), ARGV[at + 3] * 1000 end
  if ends and (now < ARGV[at + 2] * 1000 or now >= ends) then return {record, 4, tonumber(time[1])} end
  local over = debt - (burst - cost) * interval - 0.5
  if over > 0 then verdict = 0 end
  limits[place], at = {rate, interval, tonumber(burst), debt, over, ends}, at + (ends and 4 or 2)
end
for place, limit in pairs(limits) do
  local rate, interval, burst, debt, over, ends = unpack(limit, 1, 6)
  if verdict ~= 0 then debt = debt + cost * interval end
  local due, full = ends and debt or now + debt, math.max(math.ceil(ends and ends - now or debt), 0)
  if verdict ~= 0 and redis.pcall('SET', rate, due, 'PX', full + 1).err then verdict = 2 end
  local wait = verdict == 0 and over > 0 and math.ceil(ends and full or over) or 0
  local remaining = math.min(math.floor(burst - debt / interval + 0.001), wait > 0 and cost - 1 or burst)
  answer[place * 3 - 9], answer[place * 3 - 8], answer[place * 3 - 7] = math.max(remaining, 0), full, wait
end
answer[2] = verdict
if spends ~= '1' or cost == 0 or verdict == 0 then return answer end
-- After a write that only removes, a full server executes this one, too: uses are counted to the last.
redis.call('HDEL', metadata, '')
redis.call('HINCRBY', metadata, '@uses_left', -1)
return answer
