--[[ Count a try of an address, or refuse it; or take one back.
KEYS[1]  tries (int)
ARGV[1]  tries allowed
ARGV[2]  window, milliseconds
ARGV[3]  1 to count, -1 to take back
returns  0 done | wait in milliseconds
cost     O(1)
]]
local tries = KEYS[1]
local allowed, window, step = unpack(ARGV)
local used = tonumber(redis.call('GET', tries) or '0')
if step == '-1' then
  if used > 0 then redis.call('DECR', tries) end
  return 0
end
if used >= tonumber(allowed) then return redis.call('PTTL', tries) end
redis.call('INCR', tries)
if redis.call('PTTL', tries) < 0 then redis.call('PEXPIRE', tries, window) end
return 0
