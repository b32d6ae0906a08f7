--[[ Drop a slice of surplus audit entries that are sealed, and the checkpoints of dropped entries.
KEYS[1]  checkpoints (stream)         KEYS[2]  the entries they cover (stream)
ARGV[1]  entries to keep              ARGV[2]  how many to drop at most
returns  how many entries were dropped; how many are left
cost     O(k) for k entries
]]
local checkpoints, entries = unpack(KEYS)
local keep, most = unpack(ARGV)
local last = redis.call('XREVRANGE', checkpoints, '+', '-', 'COUNT', 1)[1]
local length, dropped = redis.call('XLEN', entries), 0
if not last then return {0, length} end
local surplus = math.min(length - keep, most)
if surplus > 0 then dropped = redis.call('XTRIM', entries, 'MINID', '~', last[1], 'LIMIT', surplus) end
local oldest = redis.call('XRANGE', entries, '-', '+', 'COUNT', 1)[1]
if oldest then
  -- Never the last checkpoint, even if somebody has removed all its entries: the next one continues it.
  local first = redis.call('XRANGE', checkpoints, oldest[1], '+', 'COUNT', 1)[1] or last
  redis.call('XTRIM', checkpoints, 'MINID', '~', first[1], 'LIMIT', most)
end
return {dropped, length - dropped}
