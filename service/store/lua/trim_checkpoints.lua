--[[ Drop a slice of the checkpoints all of whose entries are gone.
KEYS[1]  checkpoints (stream)         KEYS[2]  the entries they cover (stream)
ARGV[1]  how many at most
returns  how many were dropped
cost     O(k) for k checkpoints
]]
local checkpoints, entries = unpack(KEYS)
local most = ARGV[1]
local oldest = redis.call('XRANGE', entries, '-', '+', 'COUNT', 1)[1]
if not oldest then return 0 end
local ids = {}
for i, found in ipairs(redis.call('XRANGE', checkpoints, '-', '(' .. oldest[1], 'COUNT', most)) do ids[i] = found[1] end
if #ids > 0 then redis.call('XDEL', checkpoints, unpack(ids)) end
return #ids
