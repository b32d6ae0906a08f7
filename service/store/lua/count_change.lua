--[[ Count a change of a subject's limits, so that every process hears of it with its next lookup. Takes away before it
writes, so that limits are taken away on a full server, too.
KEYS[1]  how often they changed, and whose the last time (string)
ARGV[1]  subject                      ARGV[2]  the count where it is known, 0 in the shard that counts
returns  the count; a greater one that is there already, and then nothing is told
cost     O(1)
]]
local changes = KEYS[1]
local subject, count = ARGV[1], tonumber(ARGV[2])
local before = tonumber(string.match(redis.call('GET', changes) or '', '^%d+') or 0)
if count == 0 then count = before + 1 end
if count < before then return before end
redis.call('DEL', changes)
redis.call('SET', changes, string.format('%.0f %s', count, subject))
return count
