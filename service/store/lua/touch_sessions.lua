--[[ Put the ends of sessions off, and note in their places in the index when they were used. What is over stays so.
KEYS[1]  all sessions (zset)
KEYS[2...] credentials (string)
ARGV[1...] of each: when it ends, epoch seconds; its score; its member of the index
returns  how many there are
cost     O(k log n) for k sessions, at most 50
]]
local all = KEYS[1]
local at, touched = 1, 0
for place = 2, #KEYS do
  local credential = KEYS[place]
  local ends, score, member = unpack(ARGV, at, at + 2)
  -- First, because a full server takes it, and with it what follows.
  if redis.call('EXPIREAT', credential, ends) == 1 then
    -- What somebody else keeps in place of the index must not hold all other usage up.
    redis.pcall('ZADD', all, 'XX', score, member)
    touched = touched + 1
  end
  at = at + 3
end
return touched
