--[[ Deactivate or revoke a managed token, with all derived from it. Takes away first, so it works on a full server.
KEYS[1]  credential (string)          KEYS[2]  predecessor's credential (string)
KEYS[3]  reason it is gone (string)   KEYS[4]  metadata (hash)
KEYS[5]  active tokens (zset)         KEYS[6]  ended or switched off (zset)
KEYS[7]  expired tokens (zset)        KEYS[8]  expiries (zset)
KEYS[9]  purges (zset)                KEYS[10] names (zset); KEYS[11] audit log (stream); KEYS[12] derived tokens (zset)
ARGV[1]  id                           ARGV[2]  digest that was read; ARGV[3] version, empty whatever it is by now
ARGV[4]  when it was revoked and so 0 to deactivate, epoch seconds
ARGV[5]  why the credential is gone   ARGV[6]  when that goes, epoch milliseconds, 0 for never
ARGV[7]  when the record is purged    ARGV[8]  member in names; ARGV[9] the same once revoked, which frees the name
ARGV[10] its seal from then on        ARGV[11] audit entries to keep; ARGV[12] audit entry, JSON; ARGV[13] its seal
returns  1 ended | 0 it was already | -1 changed meanwhile: read again | -2 gone
cost     O(log n + k) for k tokens derived from it
]]
local credential, predecessor, reason, metadata, on, off, dead, expiries, purges, names, events, derived = unpack(KEYS)
local id, digest, version, revoked, why, reason_until, purge_at, member, freed, record_seal = unpack(ARGV, 1, 10)
local keep, entry, seal = unpack(ARGV, 11, 13)
local known = redis.call('HMGET', metadata, '@digest', '@active', '@revoked_at', '@created_micros', '@expires_at', '@version')
if not known[1] then return -2 end
local created, expires = string.match(known[4] or '', '^%d+$') or '1', string.match(known[5] or '', '^%d+$')
local over = (known[3] or '0') ~= '0' or (revoked == '0' and known[2] == '0')
if known[1] ~= digest or not (over or version == '' or version == (known[6] or '1')) then return -1 end
redis.call('DEL', credential, predecessor, derived, unpack(redis.call('ZRANGE', derived, 0, -1)))
if over and revoked == '0' then return 0 end
if revoked ~= '0' or string.sub(redis.call('GET', reason) or '', 1, 7) ~= 'revoked' then
  redis.call('SET', reason, why) if reason_until ~= '0' then redis.call('PEXPIREAT', reason, reason_until) end
end
if over then return 0 end
redis.call('HSET', metadata, '@active', 0, '@revoked_at', revoked, '@version', (tonumber(known[6]) or 1) + 1, '@seal', record_seal)
redis.call('ZREM', on, id)
if revoked ~= '0' then
  redis.call('ZREM', dead, id) redis.call('ZREM', expiries, id)
  redis.call('ZADD', off, '-' .. created, id) redis.call('ZADD', purges, purge_at, id)
  if redis.call('ZREM', names, member) == 1 then redis.call('ZADD', names, 0, freed) end
elseif not redis.call('ZSCORE', dead, id) then
  redis.call('ZADD', off, created, id)
  if expires then redis.call('ZADD', expiries, '-' .. expires, id) end
end
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
return 1
