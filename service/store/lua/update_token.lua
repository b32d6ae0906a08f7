--[[ Write a managed token anew: activate, edit, rotate. Refused if it changed since it was read.
KEYS[1]  new credential (string)      KEYS[2]  reason it may be gone (string)
KEYS[3]  old credential (string)      KEYS[4]  predecessor's credential (string)
KEYS[5]  metadata (hash)              KEYS[6]  active tokens (zset)
KEYS[7]  ended or switched off (zset) KEYS[8]  expired tokens (zset)
KEYS[9]  expiries (zset)              KEYS[10] purges (zset)
KEYS[11] audit trail (stream)
ARGV[1]  id
ARGV[2]  version that was read
ARGV[3]  created, epoch microseconds
ARGV[4]  expires, epoch seconds, 0 for never
ARGV[5]  sealed credential, empty for a token that stays switched off
ARGV[6]  when the reason goes, epoch milliseconds, 0 for never
ARGV[7]  until when the old credential works, epoch milliseconds, 0 to end it now
ARGV[8]  audit entries to keep
ARGV[9]  audit entry, JSON
ARGV[10] seal of the audit entry
ARGV[11...] fields and values of the metadata
returns  1 written | 0 changed meanwhile, or gone
cost     O(log n)
]]
local credential, reason, old, predecessor, metadata, on, off, dead, expiries, purges, events = unpack(KEYS)
local id, version, created, expires, record, reason_until, old_until, keep, entry, seal = unpack(ARGV)
if redis.call('HGET', metadata, 'version') ~= version then return 0 end
if old ~= credential and old_until ~= '0' then redis.call('PEXPIREAT', old, old_until) else redis.call('DEL', old) end
if predecessor ~= credential and predecessor ~= old then redis.call('DEL', predecessor) end
redis.call('HSET', metadata, unpack(ARGV, 11))
redis.call('ZREM', dead, id) redis.call('ZREM', purges, id) redis.call('ZREM', expiries, id)
local active = record ~= ''
redis.call('ZREM', active and off or on, id)
redis.call('ZADD', active and on or off, created, id)
redis.call('SET', reason, active and 'expired' or 'inactive')
if active then redis.call('SET', credential, record) end
if expires ~= '0' then
  if active then redis.call('PEXPIREAT', credential, expires .. '000') end
  redis.call('PEXPIREAT', reason, reason_until)
  redis.call('ZADD', expiries, active and expires or -expires, id)
end
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
return 1
