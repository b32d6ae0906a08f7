--[[ Count a change of a subject's limits, so that every process hears of it with its next lookup. Works on a full
server, so that limits are taken away there, too.
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
local text = string.format('%.0f %s', count, subject)
local done = redis.pcall('SET', changes, text)
-- Only on a full server: behind a DEL a lost right to SET would begin the count anew.
if done.err and string.find(done.err, 'OOM') then
  redis.call('DEL', changes)
  done = redis.call('SET', changes, text)
end
return done.err and done or count
