--[[ Say which name a token is about to take, before its record is written; forgotten unless that follows soon.
KEYS[1]  metadata (hash)
ARGV[1]  name
ARGV[2]  how long this holds, milliseconds
returns  1 announced | 0 the id is known
cost     O(1)
]]
local metadata = KEYS[1]
local name, hold = ARGV[1], ARGV[2]
if redis.call('HEXISTS', metadata, '@digest') == 1 then return 0 end
redis.call('HSET', metadata, '@name', name)
redis.call('PEXPIRE', metadata, hold)
return 1
