--[[ Take a lock, keep it or give it up; it goes by itself when its holder does not come back.
KEYS[1]  lock (string)
ARGV[1]  who asks
ARGV[2]  how long it is held, milliseconds, 0 to give it up
returns  2 taken | 1 kept | 0 somebody else's, or given up
cost     O(1)
]]
local lock = KEYS[1]
local holder, hold = ARGV[1], ARGV[2]
local held = redis.call('GET', lock)
if held and held ~= holder then return 0 end
if hold == '0' then
  redis.call('DEL', lock)
  return 0
end
redis.call('SET', lock, holder, 'PX', hold)
return held and 1 or 2
