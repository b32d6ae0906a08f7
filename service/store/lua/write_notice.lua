--[[ Write a notice for webhooks, unless the same one was written a moment ago.
KEYS[1]  mark that it was (string)    KEYS[2]  notices (stream)
ARGV[1]  how long the next one is suppressed, milliseconds
ARGV[2]  notices to keep
ARGV[3]  notice, JSON
ARGV[4]  its seal
returns  1 written | 0 suppressed
cost     O(1)
]]
local written, notices = unpack(KEYS)
local hold, keep, entry, seal = unpack(ARGV)
if not redis.call('SET', written, 1, 'NX', 'PX', hold) then return 0 end
redis.call('XADD', notices, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
return 1
