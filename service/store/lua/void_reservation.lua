--[[ Decide whether a token gave up a name; counting that it was asked makes a renaming under way start over.
KEYS[1]  metadata of the token that holds the name (hash)
ARGV[1]  the name
returns  0 the token bears the name | how often that was asked: the reservation is void
cost     O(1)
]]
local metadata = KEYS[1]
local name = ARGV[1]
local known = redis.call('HMGET', metadata, '@revoked_at', '@name', '@name1', '@name2', '@name3', '@name4')
-- A long name is written in pieces; what is left of a longer one before it is empty.
local borne = known[2] or ''
for i = 3, #known do borne = borne .. (known[i] or '') end
if borne == name and (known[1] or '0') == '0' then return 0 end
return known[2] and redis.call('HINCRBY', metadata, '@contests', 1) or 1
