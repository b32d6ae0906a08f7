--[[ Deactivate or revoke managed tokens, each with all derived from it. Takes away first, so it works on a full server.
KEYS[1]  active tokens (zset)         KEYS[2]  ended or switched off (zset)
KEYS[3]  expired tokens (zset)        KEYS[4]  expiries (zset)
KEYS[5]  purges (zset)                KEYS[6]  names (zset)           KEYS[7] audit log (stream)
KEYS[8...] of each: credential, predecessor's credential, reason it is gone (string), metadata (hash), derived tokens (zset)
ARGV[1]  when they were revoked and so 0 to deactivate; ARGV[2] when records are purged, epoch seconds; ARGV[3] audit entries to keep
ARGV[4...] of each: id, digest that was read, version (empty whatever it is by now), why the credential is gone, when that goes
         (epoch milliseconds, 0 for never), member in names, the same once the name is free, record's seal, audit entry, its seal
returns  of each: 1 ended | 0 it was already | -1 changed meanwhile: read again | -2 gone
cost     O(k log n + d) for k tokens with d derived from them
]]
local on, off, dead, expiries, purges, names, events = unpack(KEYS, 1, 7)
local revoked, purge_at, keep = unpack(ARGV, 1, 3)
local at, replies, ended, placed, timed, taken, freed_names, revoking = 4, {}, {}, {}, {}, {}, {}, revoked ~= '0'
local function note(list, score, id) list[#list + 1] = score list[#list + 1] = id end
for first = 8, #KEYS, 5 do
  local credential, predecessor, reason, metadata, derived = unpack(KEYS, first, first + 4)
  local id, digest, version, why, why_until, member, freed, record_seal, entry, seal = unpack(ARGV, at, at + 9)
  local known = redis.pcall('HMGET', metadata, '@digest', '@active', '@revoked_at', '@created_micros', '@expires_at', '@version')
  local over = (known[3] or '0') ~= '0' or (not revoking and known[2] == '0')
  local reply = not known[1] and -2 or over and 0 or 1
  if known[1] and (known[1] ~= digest or not (over or version == '' or version == (known[6] or '1'))) then reply = -1 end
  if reply >= 0 then redis.call('DEL', credential, predecessor, derived, unpack(redis.pcall('ZRANGE', derived, 0, -1))) end
  local told = reply == 1 and not revoking and redis.pcall('GET', reason)
  if (revoking and reply >= 0) or (reply == 1 and not (type(told) == 'string' and string.sub(told, 1, 7) == 'revoked')) then
    redis.call('SET', reason, why, unpack(why_until == '0' and {} or {'PXAT', why_until})) end
  if reply == 1 then
    local created, expires = string.match(known[4] or '', '^%d+$') or '1', string.match(known[5] or '', '^%d+$')
    redis.call('HSET', metadata, '@active', 0, '@revoked_at', revoked, '@version', (tonumber(known[6]) or 1) + 1, '@seal', record_seal)
    if revoking then note(placed, '-' .. created, id) note(timed, purge_at, id) elseif not redis.call('ZSCORE', dead, id) then
      note(placed, created, id) if expires then note(timed, '-' .. expires, id) end end
    if revoking and redis.call('ZSCORE', names, member) then note(freed_names, 0, freed) taken[#taken + 1] = member end
    redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal) ended[#ended + 1] = id
  end replies[#replies + 1], at = reply, at + 10
end
if #ended > 0 then redis.call('ZREM', on, unpack(ended)) end
if #ended > 0 and revoking then redis.call('ZREM', dead, unpack(ended)) redis.call('ZREM', expiries, unpack(ended)) end
if #taken > 0 then redis.call('ZREM', names, unpack(taken)) redis.call('ZADD', names, unpack(freed_names)) end
if #placed > 0 then redis.call('ZADD', off, unpack(placed)) end local due = revoking and purges or expiries
if #timed > 0 then redis.call('ZADD', due, unpack(timed)) end return replies
