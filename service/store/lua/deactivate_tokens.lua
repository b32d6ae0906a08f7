--[[ Deactivate managed tokens, each with all derived from it. Removes before it writes: works on a full server.
KEYS[1]  active tokens (zset)     KEYS[2]  ended or switched off (zset)     KEYS[3]  expired tokens (zset)
KEYS[4]  expiries (zset)          KEYS[5]  last uses (zset)               KEYS[6]  audit log (stream)
KEYS[7...] for each: credential, predecessor's credential, reason why it is gone (string), metadata (hash),
         derived tokens (zset)
ARGV[1]  audit entries to keep    ARGV[2...] for each as below: `digest` and `version` as read; a stored version may be
         older after a failover that lost a change; `why_until` in milliseconds, 0 for never
returns  for each: 1 deactivated | 0 it was off or had ended already | -1 changed meanwhile: read again | -2 gone
cost     O(k log n + d) for k tokens with d derived from them
]]
local on, off, dead, expiries, used, events = unpack(KEYS, 1, 6)
local at, replies, keep = 2, {}, ARGV[1]
for first = 7, #KEYS, 5 do
  local credential, predecessor, reason, metadata, derived = unpack(KEYS, first, first + 4)
  local id, digest, version, why, why_until, record_seal, entry, seal = unpack(ARGV, at, at + 7)
  local read, is_active, revoked_at, of, created, expires = unpack(redis.pcall('HMGET', metadata, '@digest', '@active',
    '@revoked_at', '@version', '@created_micros', '@expires_at'))
  local over, since = is_active == '0' or (revoked_at or '0') ~= '0', (tonumber(of) or 1) - version
  local reply = not read and -2 or (read ~= digest or not (over or since <= 0)) and -1 or over and 0 or 1
  if reply >= 0 then
    -- Another type under `derived` is ignored. Without the right to read it this fails: no derived token would end.
    local below = redis.pcall('ZRANGE', derived, 0, -1)
    if below.err and not string.find(below.err, 'WRONGTYPE') then return below end
    redis.call('DEL', credential, predecessor, derived, unpack(below))
  end
  if reply == 1 then
    local till = why_until == '0' and {} or {'PXAT', why_until}
    -- A reason that says revoked is final.
    local told = not redis.call('SET', reason, why, 'NX', unpack(till)) and redis.pcall('GET', reason)
    if told and not (type(told) == 'string' and string.sub(told, 1, 7) == 'revoked') then
      redis.call('SET', reason, why, unpack(till))
    end
    -- Before the record, so that without the audit entry the change is attempted again.
    redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
    local seal_now = since == 0 and record_seal or ''
    redis.call('HSET', metadata, '@active', 0, '@version', version + since + 1, '@seal', seal_now)
  end
  -- Even if it was off before: an earlier attempt may have failed here because a right was missing.
  if reply >= 0 and (revoked_at or '0') == '0' then
    if not redis.call('ZSCORE', dead, id) then
      created, expires = string.match(created or '', '^%d+$') or '1e12', string.match(expires or '', '^[1-9]%d*$')
      redis.call('ZADD', off, redis.call('ZSCORE', used, id) and created or string.format('%.0f', created + 5e15), id)
      redis.call('ZADD', expiries, '-' .. (expires or created), id)
    end
    -- Last, so that the token is always in at least one list.
    redis.call('ZREM', on, id)
  end
  replies[#replies + 1], at = reply, at + 8
end
return replies
