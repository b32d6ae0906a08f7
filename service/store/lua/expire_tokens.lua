--[[ List managed tokens whose date has passed as expired; harmless if two processes run it.
KEYS[1]  active tokens (zset)         KEYS[2]  ended or switched off (zset)
KEYS[3]  expired tokens (zset)        KEYS[4]  expiries (zset)
KEYS[5]  purges (zset)                KEYS[6]  audit log (stream)
ARGV[1]  retention, seconds
ARGV[2]  audit entries to keep
ARGV[3...] id, audit entry and its seal, repeated for each
returns  how many were moved
cost     O(k log n) for k tokens, at most 32
]]
local on, off, dead, expiries, purges, events = unpack(KEYS)
local retention, keep = unpack(ARGV)
local now, moved = tonumber(redis.call('TIME')[1]), 0
for i = 3, #ARGV, 3 do
  local id, entry, seal = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local expires = math.abs(tonumber(redis.call('ZSCORE', expiries, id) or 'inf'))
  if expires <= now then
    -- Removes nothing: after a command that only removes, a full server executes the others, too.
    redis.call('ZREM', expiries, '')
    local created = redis.call('ZSCORE', on, id) or redis.call('ZSCORE', off, id)
    -- An id in no list is not a token of ours.
    if created then
      redis.call('ZADD', dead, created, id)
      redis.call('ZADD', purges, expires + retention, id)
      -- After these: if they failed, each sweep would write the entry again.
      redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
      moved = moved + 1
    end
    -- Last, so that the token is always in at least one list.
    for _, index in ipairs({on, off, expiries}) do redis.call('ZREM', index, id) end
  end
end
return moved
