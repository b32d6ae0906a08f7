--[[ Append a checkpoint over audit entries, unless another process appended one since the last was read.
KEYS[1]  checkpoints (stream)
ARGV[1]  MAC of the last checkpoint, empty if there is none
ARGV[2]  id of the last entry that is covered, which becomes the id of the checkpoint
ARGV[3...] fields and values
returns  1 appended | 0 another process was faster
cost     O(1)
]]
local checkpoints = KEYS[1]
local known, id = unpack(ARGV, 1, 2)
local last, mac = redis.call('XREVRANGE', checkpoints, '+', '-', 'COUNT', 1)[1], ''
for place = 1, last and #last[2] or 0, 2 do
  if last[2][place] == 'm' then mac = last[2][place + 1] end
end
if mac ~= known then return 0 end
redis.call('XADD', checkpoints, id, unpack(ARGV, 3))
return 1
