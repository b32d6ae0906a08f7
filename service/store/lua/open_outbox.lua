--[[ Begin to keep events for webhooks from now on; harmless when repeated.
KEYS[1...] changes, occurrences, notices (stream)
ARGV[1]  consumer group
returns  now by this server, epoch milliseconds
cost     O(1)
]]
local group = ARGV[1]
for _, stream in ipairs(KEYS) do redis.pcall('XGROUP', 'CREATE', stream, group, '$', 'MKSTREAM') end
local now = redis.call('TIME')
return now[1] * 1000 + math.floor(now[2] / 1000)
