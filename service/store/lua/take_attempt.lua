--[[ Count a try at a password before it is looked at, or refuse it; or take one back.
KEYS[1]  tries at the account (int)   KEYS[2]  this address has signed in before (string)
KEYS[3]  tries of this address at the account (int)
KEYS[4]  generation of the user (int)
ARGV[1]  tries allowed
ARGV[2]  window, milliseconds
ARGV[3]  1 to count, -1 to take back
returns  {wait in milliseconds, 0 if allowed; tries left; generation}
cost     O(1)
]]
local account, known, own, generation = unpack(KEYS)
local allowed, window, step = unpack(ARGV)
local counter = redis.call('EXISTS', known) == 1 and own or account
local used = tonumber(redis.call('GET', counter) or '0')
if step == '-1' then
  if used > 0 then redis.call('DECR', counter) end
  return {0, allowed - used, '0'}
end
if used >= tonumber(allowed) then
  return {redis.call('PTTL', counter), 0, '0'}
end
redis.call('INCR', counter)
if redis.call('PTTL', counter) < 0 then redis.call('PEXPIRE', counter, window) end
return {0, allowed - used - 1, redis.call('GET', generation) or '0'}
