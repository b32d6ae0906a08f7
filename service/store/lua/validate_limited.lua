--[[ Read a credential and charge one request to its rate limit (GCRA) and its uses.
KEYS[1]  credential (string)          KEYS[2]  its rate (string)
KEYS[3]  metadata (hash)
ARGV[1]  requests a period, 0 for no limit
ARGV[2]  period, milliseconds
ARGV[3]  burst
ARGV[4]  1 to spend one of its uses
ARGV[5]  seal of the credential that was evaluated: another one is returned uncharged: its terms may differ
returns  {credential or nil; 1 admitted, 0 refused by rate, -1 no use left, 2 admitted with the limit paused,
         3 another credential; remaining; milliseconds until full; milliseconds until the next is admitted}
cost     O(1)
]]
local credential, rate, metadata = unpack(KEYS)
local limit, period, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local uses, seal = ARGV[4], ARGV[5]
local record = redis.call('GET', credential)
if not record then return {false, 0, 0, 0, 0} end
if string.sub(record, 1, #seal) ~= seal then return {record, 3, 0, 0, 0} end
local left = uses == '1' and redis.call('HGET', metadata, '@uses_left') or '0'
if uses == '1' and not string.find(left, '^%d*[1-9]%d*$') then return {record, -1, 0, 0, 0} end
local verdict, remaining, reset = 1, 0, 0
if limit > 0 then
  local interval, time = period / limit, redis.call('TIME')
  local now = time[1] * 1000 + time[2] / 1000
  local due = tonumber(redis.call('GET', rate) or '0') or 0
  -- A debt greater than the burst was written down by a clock that has been set back since. Not a number is neither.
  if not (due >= now and due <= now + burst * interval + 1) then due = now end
  local slack = (burst - 1) * interval - (due - now)
  if slack < -0.5 then return {record, 0, 0, math.ceil(due - now), math.ceil(-slack)} end
  reset = due + interval - now
  remaining = math.floor(slack / interval + 0.001)
  local kept = redis.pcall('SET', rate, string.format('%.3f', due + interval), 'PX', math.ceil(reset))
  if kept.err then verdict = 2 end
end
if uses == '1' then
  -- Behind a write that only takes away, a full server lets this one through: uses are counted to the last.
  redis.call('HDEL', metadata, '')
  redis.call('HINCRBY', metadata, '@uses_left', -1)
end
return {record, verdict, remaining, math.ceil(reset), 0}
