--[[ Append a checkpoint over audit entries, unless another process appended one since the last was read.
KEYS[1]  checkpoints (stream)
ARGV[1]  id of the last checkpoint, 0-0 disables it
ARGV[2]  id of the last entry that is covered, which becomes the checkpoint's own
ARGV[3...] fields and values
returns  1 appended | 0 another process was faster
cost     O(1)
]]
local checkpoints = KEYS[1]
local known, id = ARGV[1], ARGV[2]
local last = redis.call('XREVRANGE', checkpoints, '+', '-', 'COUNT', 1)[1]
if (last and last[1] or '0-0') ~= known then return 0 end
redis.call('XADD', checkpoints, id, unpack(ARGV, 3))
return 1
