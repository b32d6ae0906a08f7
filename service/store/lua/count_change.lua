--[[ Count a change of a subject's limits, so that every process learns of it with its next lookup. Works on a full
server, so that limits can be removed there, too.
KEYS[1]  how often limits changed, and the last subject (string)
ARGV[1]  subject                      ARGV[2]  the count to write, 0 in the first shard, which counts
returns  the count; a greater one if that is there already, and then nothing is written
cost     O(1)
]]
local changes = KEYS[1]
local subject, count = ARGV[1], tonumber(ARGV[2])
local before = tonumber(string.match(redis.call('GET', changes) or '', '^%d+') or 0)
if count == 0 then count = before + 1 end
if count < before then return before end
local text = string.format('%.0f %s', count, subject)
local done = redis.pcall('SET', changes, text)
-- DEL only on a full server: if the right to SET is missing, a DEL would reset the count.
if done.err and string.find(done.err, 'OOM') then
  redis.call('DEL', changes)
  done = redis.call('SET', changes, text)
end
return done.err and done or count
