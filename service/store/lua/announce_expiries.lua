--[[ Write notices of tokens that expire soon, each once, and how far the notices have come.
KEYS[1]  how far notices came (hash)  KEYS[2]  notices (stream)
ARGV[1]  window
ARGV[2]  how far they had come when the tokens were read, empty for none yet
ARGV[3]  how far they come with these
ARGV[4]  notices to keep
ARGV[5...] notice, JSON, and its seal, repeated for each
returns  1 written | 0 another process was faster
cost     O(k) for k notices, at most 200
]]
local reached, notices = unpack(KEYS)
local window, seen, upto, keep = unpack(ARGV)
if (redis.call('HGET', reached, window) or '') ~= seen then return 0 end
for i = 5, #ARGV, 2 do
  redis.call('XADD', notices, 'MAXLEN', '~', keep, '*', 'e', ARGV[i], 's', ARGV[i + 1])
end
redis.call('HSET', reached, window, upto)
return 1
