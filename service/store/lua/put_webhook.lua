--[[ Write a webhook, change it if nobody else did since it was read, or take it away.
KEYS[1]  webhooks (hash)              KEYS[2]  audit log (stream)
ARGV[1]  id
ARGV[2]  sealed record, empty to take it away
ARGV[3]  the record that is changed, empty for a new one
ARGV[4]  how many there may be
ARGV[5]  audit entries to keep
ARGV[6]  audit entry, JSON
ARGV[7]  seal of the audit entry
returns  1 done | 0 there is none of this id, or another record | -1 there are too many
cost     O(1)
]]
local webhooks, events = unpack(KEYS)
local id, record, seen, most, keep, entry, seal = unpack(ARGV)
if record == '' then
  if redis.call('HDEL', webhooks, id) == 0 then return 0 end
else
  if (redis.call('HGET', webhooks, id) or '') ~= seen then return 0 end
  if seen == '' and redis.call('HLEN', webhooks) >= tonumber(most) then return -1 end
  redis.call('HSET', webhooks, id, record)
end
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
return 1
