--[[ Create a webhook, change it if its record is still the one that was read, or remove it.
KEYS[1]  webhooks (hash)              KEYS[2]  audit log (stream)
KEYS[3]  mark that the webhook of this id was removed (string)
ARGV[1]  id
ARGV[2]  sealed record, empty to remove it
ARGV[3]  the record as it was read, empty for a new webhook
ARGV[4]  most webhooks
ARGV[5]  how long the mark of a removal is kept, milliseconds
ARGV[6]  audit entries to keep
ARGV[7]  audit entry, JSON
ARGV[8]  seal of the audit entry
returns  1 done | 0 there is none of this id, another record, or it was removed | -1 there are too many
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
-- The entry before the change, except for a removal.
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
if record ~= '' then redis.call('HSET', webhooks, id, record) end
return 1
