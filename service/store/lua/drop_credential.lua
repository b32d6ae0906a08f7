--[[ Remove a credential that no record names any more. Removes before it writes: works on a full server.
KEYS[1]  credential (string)          KEYS[2]  reason why it is gone (string)
KEYS[3]  metadata (hash)              KEYS[4]  active tokens (zset)
KEYS[5]  ended or switched off (zset) KEYS[6]  expired tokens (zset)
KEYS[7]  expiries (zset)              KEYS[8]  purges (zset)
KEYS[9]  last uses (zset)             KEYS[10] tokens of the creator (zset)
KEYS[11] imported tokens (zset)       KEYS[12] audit log (stream)
KEYS[13] tokens derived from it (zset)
KEYS[14...] tokens derived from each of its ancestors (zset)
ARGV[1]  id                           ARGV[2]  when the reason expires, epoch milliseconds, 0 for never
ARGV[3]  audit entries to keep        ARGV[4]  audit entry, JSON; ARGV[5] its seal
returns  1 dropped | 0 there was none
cost     O(log n + k log m) for k tokens derived from it and m derived from its ancestors
]]
local credential, reason, metadata, on, off, dead, expiries = unpack(KEYS, 1, 7)
local purges, used, owned, imported, events, derived = unpack(KEYS, 8, 13)
local id, reason_until, keep, entry, seal = unpack(ARGV)
-- Another type under `derived` is ignored. Without the right to read it this fails: no derived token would end.
local there, below = redis.call('EXISTS', credential), redis.pcall('ZRANGE', derived, 0, -1)
if below.err and not string.find(below.err, 'WRONGTYPE') then return below end
redis.call('DEL', credential, derived, unpack(below))
if there == 1 then
  redis.call('SET', reason, 'revoked ' .. id, unpack(reason_until == '0' and {} or {'PXAT', reason_until}))
  redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
end
for place = 14, #KEYS do
  local of_ancestor = KEYS[place]
  -- A failure is ignored, because a member that stays vanishes at its expiry.
  redis.pcall('ZREM', of_ancestor, credential, unpack(below))
end
if there == 1 and redis.call('EXISTS', metadata) == 0 then
  for _, index in ipairs({on, off, dead, expiries, purges, owned, imported, used}) do redis.call('ZREM', index, id) end
end
return there
