--[[ Write a mark, on a full server, too. Waiting for the last write of a connection confirms all writes before it.
KEYS[1]  mark (string)
ARGV[1]  how long it stays, milliseconds
returns  1
cost     O(1)
]]
local mark, stays = KEYS[1], ARGV[1]
redis.call('DEL', mark)
redis.call('SET', mark, 1, 'PX', stays)
return 1
