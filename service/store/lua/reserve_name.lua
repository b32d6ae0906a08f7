--[[ Reserve a name for a token of any shard, before the token takes it.
KEYS[1]  names (zset)
ARGV[1]  name followed by NUL
ARGV[2]  member for names
ARGV[3]  id
returns  1 reserved, or held by this token already | the holder: a token's id, with `!n` while its record is asked
cost     O(log n)
]]
local names = KEYS[1]
local name, member, id = unpack(ARGV)
local holder = redis.call('ZRANGEBYLEX', names, '[' .. name, '(' .. name .. 'g', 'LIMIT', 0, 1)[1]
if holder then
  local holder_id = string.sub(holder, #name + 1)
  if holder_id ~= id then return holder_id end
end
redis.call('ZADD', names, 0, member)
return 1
