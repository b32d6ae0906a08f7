--[[ Write a webhook, change it if nobody else did since it was read, or take it away.
KEYS[1]  webhooks (hash)              KEYS[2]  audit log (stream)
KEYS[3]  that one of this id was taken away (string)
ARGV[1]  id
ARGV[2]  sealed record, empty to take it away
ARGV[3]  the record that is changed, empty for a new one
ARGV[4]  how many there may be
ARGV[5]  how long it is known that one was taken away, milliseconds
ARGV[6]  audit entries to keep
ARGV[7]  audit entry, JSON
ARGV[8]  seal of the audit entry
returns  1 done | 0 there is none of this id, another record, or it was taken away | -1 there are too many
cost     O(1)
]]
local webhooks, events, ended = unpack(KEYS)
local id, record, seen, most, known_for, keep, entry, seal = unpack(ARGV)
if record == '' then
  if redis.call('HDEL', webhooks, id) == 0 then return 0 end
  redis.call('SET', ended, '1', 'PX', known_for)
else
  if redis.call('EXISTS', ended) == 1 then return 0 end
  if (redis.call('HGET', webhooks, id) or '') ~= seen then return 0 end
  if seen == '' and redis.call('HLEN', webhooks) >= tonumber(most) then return -1 end
end
-- Before what it tells of, except for what is taken away.
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
if record ~= '' then redis.call('HSET', webhooks, id, record) end
return 1
