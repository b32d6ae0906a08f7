--[[ Take a lock, keep it or give it up. It expires if its holder does not renew it.
KEYS[1]  lock (string)
ARGV[1]  the process that asks
ARGV[2]  how long the lock is held, milliseconds, 0 to give it up
returns  2 taken | 1 kept | 0 held by another process, or given up
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
