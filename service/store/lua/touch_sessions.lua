--[[ Move the ends of sessions, and note in their scores in the index when they were used. Ended ones stay ended.
KEYS[1]  all sessions (zset)
KEYS[2...] credentials (string)
ARGV[1...] for each: when it ends, epoch seconds; its score; its member of the index
returns  how many of them have not ended
cost     O(k log n) for k sessions, at most 50
]]
local all = KEYS[1]
local at, touched = 1, 0
for place = 2, #KEYS do
  local credential = KEYS[place]
  local ends, score, member = unpack(ARGV, at, at + 2)
  -- First, because a full server executes it, and then also what follows.
  if redis.call('EXPIREAT', credential, ends) == 1 then
    -- Another type in the place of the index must not stop all other usage from being written.
    redis.pcall('ZADD', all, 'XX', score, member)
    touched = touched + 1
  end
  at = at + 3
end
return touched
