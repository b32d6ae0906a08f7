--[[ Decide whether a token gave up a name. Counting the question makes a renaming under way start over.
KEYS[1]  metadata of the token that holds the name (hash)
ARGV[1]  the name
ARGV[2]  an import under way has more than so many milliseconds left of its announcement
returns  0 the token has the name, or is about to take it | how often that was asked: the reservation is void
         | the same with a minus sign: void because the token that has the name is revoked
cost     O(1)
]]
local metadata = KEYS[1]
local name, left = unpack(ARGV)
local known = redis.call('HMGET', metadata, '@digest', '@revoked_at', '@name', '@name1', '@name2', '@name3', '@name4')
-- A long name is written in pieces; leftover pieces of a longer earlier name are empty.
local borne = known[3] or ''
for i = 4, #known do borne = borne .. (known[i] or '') end
if borne ~= name then return known[3] and redis.call('HINCRBY', metadata, '@contests', 1) or 1 end
if (known[2] or '0') ~= '0' then return -redis.call('HINCRBY', metadata, '@contests', 1) end
if known[1] or redis.call('PTTL', metadata) > tonumber(left) then return 0 end
-- The import was cut off or is late: without its announcement it starts over.
redis.call('DEL', metadata)
return 1
