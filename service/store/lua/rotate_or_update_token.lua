--[[ Rotate a managed token, change it or activate it: its record is written anew. Refused if it changed since it was read.
KEYS[1]  credential (string)             KEYS[2]  reason it may be gone (string)
KEYS[3]  previous secret in its overlap (string)   KEYS[4]  reason it may be gone (string)
KEYS[5]  credential to end (string)      KEYS[6]  reason it is gone (string)
KEYS[7]  metadata (hash)                 KEYS[8]  active tokens (zset)
KEYS[9]  ended or switched off (zset)    KEYS[10] expired tokens (zset)
KEYS[11] expiries (zset)                 KEYS[12] purges (zset)
KEYS[13] its block of folded names (string)   KEYS[14] audit log (stream); KEYS[15] derived tokens that end (zset)
ARGV[1]  id                              ARGV[2]  version that was read; ARGV[3] and contests
ARGV[4]  created, microseconds; ARGV[5]  expires, seconds, 0 for never; ARGV[6]  sealed, empty for a token that stays off
ARGV[7]  why it may be gone, empty if that is not written yet; ARGV[8] when that goes, milliseconds, 0 for never
ARGV[9]  sealed predecessor, empty to end it; ARGV[10] when it ends, ARGV[11] when its reason goes, milliseconds
ARGV[12] its row in the block; ARGV[13] the row that takes its place, may be the same
ARGV[14] audit entries to keep; ARGV[15] audit entry, JSON; ARGV[16] its seal; ARGV[17...] fields and values
returns  1 written | 0 changed meanwhile, or gone
cost     O(log n + k) for k tokens derived from it
]]
local credential, reason, older, older_reason, ended, ended_reason = unpack(KEYS, 1, 6)
local metadata, on, off, dead, expiries, purges, block, events, derived = unpack(KEYS, 7)
local id, version, contests, created, expires, record, why, reason_until = unpack(ARGV, 1, 8)
local older_record, older_until, gone_until, old_row, row, keep, entry, seal = unpack(ARGV, 9, 16)
local known = redis.call('HMGET', metadata, '@digest', '@version', '@contests')
if not known[1] or (known[2] or '1') ~= version or (known[3] or '0') ~= contests then return 0 end
redis.call('DEL', credential, older, ended, derived, unpack(redis.call('ZRANGE', derived, 0, -1)))
for _, key in ipairs({older_reason, ended_reason}) do redis.call('SET', key, 'revoked ' .. id, 'PXAT', gone_until) end
if older_record ~= '' then redis.call('SET', older, older_record, 'PXAT', older_until) end
local from, to, sign = off, on, ''
if record == '' then from, to, sign = on, off, '-' else redis.call('SET', credential, record) end
redis.call('ZREM', from, id) for _, index in ipairs({dead, purges, expiries}) do redis.call('ZREM', index, id) end
redis.call('HSET', metadata, unpack(ARGV, 17)) redis.call('ZADD', to, created, id)
redis.call('DEL', reason) if why ~= '' then redis.call('SET', reason, why) end
if expires ~= '0' then
  if record ~= '' then redis.call('PEXPIREAT', credential, expires .. '000') end
  redis.call('PEXPIREAT', reason, reason_until) redis.call('ZADD', expiries, sign .. expires, id)
end
local rows = old_row ~= row and redis.call('GET', block) or '' local at = string.find(rows, old_row, 1, true)
if at and #row == #old_row then redis.call('SETRANGE', block, at - 1, row)
elseif at then redis.call('SET', block, string.sub(rows, 1, at - 1) .. row .. string.sub(rows, at + #old_row)) end
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
return 1
