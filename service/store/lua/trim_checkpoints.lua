--[[ Drop a slice of the checkpoints all of whose entries are gone, but never the last: the next one continues it.
KEYS[1]  checkpoints (stream)         KEYS[2]  the entries they cover (stream)
ARGV[1]  how many at most
returns  how many were dropped
cost     O(k) for k checkpoints
]]
local checkpoints, entries = unpack(KEYS)
local most = ARGV[1]
local oldest = redis.call('XRANGE', entries, '-', '+', 'COUNT', 1)[1]
if not oldest then return 0 end
local last, ids = redis.call('XREVRANGE', checkpoints, '+', '-', 'COUNT', 1)[1], {}
for _, found in ipairs(redis.call('XRANGE', checkpoints, '-', '(' .. oldest[1], 'COUNT', most)) do
  if found[1] ~= last[1] then ids[#ids + 1] = found[1] end
end
if #ids > 0 then redis.call('XDEL', checkpoints, unpack(ids)) end
return #ids
