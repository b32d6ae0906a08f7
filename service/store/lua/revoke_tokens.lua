--[[ Revoke managed tokens, each with all derived from it. Removes before it writes: works on a full server.
KEYS[1]  active tokens (zset)     KEYS[2]  ended or switched off (zset)     KEYS[3]  expired tokens (zset)
KEYS[4]  expiries (zset)   KEYS[5]  purges (zset)   KEYS[6]  last uses (zset)   KEYS[7]  names (zset)
KEYS[8]  audit log (stream)   KEYS[9...] for each: credential, predecessor's credential, reason why it is gone (string),
         metadata (hash), derived tokens (zset)
ARGV[1]  now    ARGV[2]  when their records are purged, both epoch seconds    ARGV[3]  audit entries to keep
ARGV[4]  1 to end what changed since, too    ARGV[5...] for each as below: `digest` and `version` as read; a stored
         version may be older after a failover that lost a change; `why_until` in milliseconds, 0 for never; `member`
         of the names, with `!n` behind it while its record is asked, and its replacement once the name is `freed`
returns  for each: 1 revoked | 0 it was already | -1 changed meanwhile: read again | -2 gone
cost     O(k log n + d) for k tokens with d derived from them
]]
local on, off, dead, expiries, purges, used, names, events = unpack(KEYS, 1, 8)
local now, purge_at, keep, insist = unpack(ARGV, 1, 4)
local at, replies = 5, {}
for first = 9, #KEYS, 5 do
  local credential, predecessor, reason, metadata, derived = unpack(KEYS, first, first + 4)
  local id, digest, version, why, why_until, record_seal, entry, seal, member, freed = unpack(ARGV, at, at + 9)
  local read, revoked_at, of, created = unpack(redis.pcall('HMGET', metadata, '@digest', '@revoked_at', '@version',
    '@created_micros'))
  local over, since = (revoked_at or '0') ~= '0', (tonumber(of) or 1) - version
  local is_other = read ~= digest or not (over or since <= 0 or insist == '1')
  local reply = not read and -2 or is_other and -1 or over and 0 or 1
  if reply >= 0 then
    -- Another type under `derived` is ignored. Without the right to read it this fails: no derived token would end.
    local below = redis.pcall('ZRANGE', derived, 0, -1)
    if below.err and not string.find(below.err, 'WRONGTYPE') then return below end
    redis.call('DEL', credential, predecessor, derived, unpack(below))
    redis.call('SET', reason, why, unpack(why_until == '0' and {} or {'PXAT', why_until}))
  end
  if reply == 1 then
    -- Before the record, so that without the audit entry the change is attempted again.
    redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
    local seal_now = since == 0 and record_seal or ''
    redis.call('HSET', metadata, '@active', 0, '@revoked_at', now, '@version', version + since + 1, '@seal', seal_now)
  end
  if reply >= 0 then
    -- Even if it was revoked before: an earlier attempt may have failed here because a right was missing.
    local made = string.match(created or '', '^%d+$') or '1'
    local place = redis.call('ZSCORE', used, id) and string.format('-%.0f', made + 5e15) or '-' .. made
    redis.call('ZADD', off, place, id)
    if reply == 1 or not redis.call('ZSCORE', purges, id) then redis.call('ZADD', purges, purge_at, id) end
    -- After the additions, so that the token is always in at least one list.
    for _, index in ipairs({on, dead, expiries}) do redis.call('ZREM', index, id) end
    local held = redis.call('ZREMRANGEBYLEX', names, '[' .. member, '(' .. member .. '"')
    if held > 0 then redis.call('ZADD', names, 0, freed) end
  end
  replies[#replies + 1], at = reply, at + 10
end
return replies
