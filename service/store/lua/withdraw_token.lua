--[[ Deactivate or revoke a managed token. Takes away first, so it works on a full server.
KEYS[1]  credential (string)          KEYS[2]  predecessor's credential (string)
KEYS[3]  reason it is gone (string)   KEYS[4]  metadata (hash)
KEYS[5]  active tokens (zset)         KEYS[6]  ended or switched off (zset)
KEYS[7]  expired tokens (zset)        KEYS[8]  expiries (zset)
KEYS[9]  purges (zset)                KEYS[10] names (zset)
KEYS[11] audit trail (stream)
ARGV[1]  id                           ARGV[2]  digest as read from the metadata
ARGV[3]  inactive or revoked          ARGV[4]  now, epoch seconds
ARGV[5]  when the reason goes, epoch milliseconds, 0 for never
ARGV[6]  when the record is purged, epoch seconds
ARGV[7]  member in names              ARGV[8]  the same once revoked, which frees the name
ARGV[9]  audit entries to keep        ARGV[10] audit entry, JSON; ARGV[11] its seal
returns  1 withdrawn | 0 it was already | -1 rotated meanwhile: read again | -2 gone
cost     O(log n)
]]
local credential, predecessor, reason, metadata, on, off, dead, expiries, purges, names, events = unpack(KEYS)
local id, digest, state, now, reason_until, purge_at, member, freed, keep, entry, seal = unpack(ARGV)
local known = redis.call('HMGET', metadata, 'digest', 'active', 'revoked_at', 'created_micros', 'expires_at')
if not known[1] then return -2 end
if known[1] ~= digest then return -1 end
if (known[3] or '0') ~= '0' or (state == 'inactive' and known[2] == '0') then return 0 end
redis.call('DEL', credential, predecessor)
redis.call('HINCRBY', metadata, 'version', 1)
redis.call('HSET', metadata, 'active', 0)
redis.call('ZREM', on, id)
redis.call('SET', reason, state .. ' ' .. id)
if reason_until ~= '0' then redis.call('PEXPIREAT', reason, reason_until) end
if state == 'revoked' then
  redis.call('HSET', metadata, 'revoked_at', now)
  redis.call('ZREM', dead, id) redis.call('ZREM', expiries, id)
  redis.call('ZADD', off, '-' .. known[4], id)
  redis.call('ZADD', purges, purge_at, id)
  if redis.call('ZREM', names, member) == 1 then redis.call('ZADD', names, 0, freed) end
elseif not redis.call('ZSCORE', dead, id) then
  redis.call('ZADD', off, known[4], id)
  if known[5] ~= '0' then redis.call('ZADD', expiries, -known[5], id) end
end
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
return 1
