--[[ Announce the names that tokens are about to take, before their records are written. An announcement expires.
KEYS[1...] metadata (hash)
ARGV[1]  how long an announcement stays, milliseconds
ARGV[2...] the name of each
returns  for each: 1 announced | 0 the id is known
cost     O(k) for k tokens
]]
local hold, names, replies = ARGV[1], {unpack(ARGV, 2)}, {}
for place, metadata in ipairs(KEYS) do
  local is_known = redis.call('HEXISTS', metadata, '@digest') == 1
  if not is_known then
    redis.call('HSET', metadata, '@name', names[place])
    redis.call('PEXPIRE', metadata, hold)
  end
  replies[place] = is_known and 0 or 1
end
return replies
