--[[ Begin to keep events for webhooks from now on; harmless when repeated.
KEYS[1]  audit trail (stream)         KEYS[2]  notices (stream)
ARGV[1]  consumer group
returns  now by this server, epoch milliseconds
cost     O(1)
]]
local events, notices = unpack(KEYS)
local group = ARGV[1]
for _, stream in ipairs({events, notices}) do redis.pcall('XGROUP', 'CREATE', stream, group, '$', 'MKSTREAM') end
local now = redis.call('TIME')
return now[1] * 1000 + math.floor(now[2] / 1000)
