--[[ Count a change of a subject's limits, so that every process learns of it with its next lookup. Removes before it
writes: limits can be removed on a full server, too.
KEYS[1]  how often limits changed, and the last subject (string)
KEYS[2]  a key that is never written (string)
ARGV[1]  subject                      ARGV[2]  the count to write, 0 in the first shard, which counts
returns  the count; a greater one if that is there already, and then nothing is written
cost     O(1)
]]
local changes, nothing = unpack(KEYS)
local subject, count = ARGV[1], tonumber(ARGV[2])
local before = tonumber(string.match(redis.call('GET', changes) or '', '^%d+') or 0)
if count == 0 then count = before + 1 end
if count < before then return before end
-- Removes nothing. A DEL of the count would reset it if the right to SET is missing.
redis.call('DEL', nothing)
redis.call('SET', changes, string.format('%.0f %s', count, subject))
return count
