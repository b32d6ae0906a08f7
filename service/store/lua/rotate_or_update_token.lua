--[[ Rotate managed tokens, change or activate them: each record is rewritten, unless it changed since it was read.
KEYS[1]  active tokens (zset)   KEYS[2]  ended or switched off (zset)   KEYS[3]  expired tokens (zset)
KEYS[4]  expiries (zset)   KEYS[5]  purges (zset)   KEYS[6]  last uses (zset)   KEYS[7]  audit log (stream)
KEYS[8]  a key that is never written, to test the rights (string)
KEYS[9...] for each: credential, reason why it is gone, previous secret in its overlap, its reason, credential to end,
         its reason (string), metadata (hash), its block of folded names (string), derived tokens that end (zset):
         another type in its place is ignored; without the right to read it this fails, because none would end
ARGV[1]  audit entries to keep    ARGV[2...]  for each as below, `..._until` in milliseconds, 0 for never; `version` and
         `contests` as they were read; `record` empty for a token that stays off, `why` if it is not written yet,
         `older_record` to end it; `row` replaces `old_row`, both empty if it stays; then `count` fields and values
returns  for each: 1 written | 0 changed meanwhile, or gone; the token is always in at least one list
cost     O(k log n + d) for k tokens with d derived from them
]]
local on, off, dead, expiries, purges, used, events, nothing = unpack(KEYS, 1, 8)
local at, replies, keep = 2, {}, ARGV[1]
local function put(key, text, till) redis.call('SET', key, text, unpack(till + 0 == 0 and {} or {'PXAT', till})) end
-- These change nothing. After them a full server executes the rest, too, and no missing right stops it half done.
redis.call('DEL', nothing)
redis.call('SET', nothing, '', 'XX')
redis.call('SETRANGE', nothing, 0, '')
redis.call('ZADD', nothing, 'XX', 1, '')
redis.call('ZREM', nothing, '')
for key = 9, #KEYS, 9 do
  local credential, reason, older, older_why, ended, ended_why, metadata, block, derived = unpack(KEYS, key, key + 8)
  local id, version, contests, created, expires, record, why, reason_until = unpack(ARGV, at, at + 7)
  local older_record, older_until, gone_until, old_row, row, entry, seal, count = unpack(ARGV, at + 8, at + 15)
  local known, fields, is_on = redis.call('HMGET', metadata, '@digest', '@version', '@contests'), at + 16, record ~= ''
  local is_current = known[1] and (known[2] or '1') == version and (known[3] or '0') == contests
  if is_current then
    local below = redis.pcall('ZRANGE', derived, 0, -1)
    if below.err and not string.find(below.err, 'WRONGTYPE') then return below end
    local place = redis.call('ZSCORE', used, id) and created or string.format('%.0f', created + 5e15)
    -- The entry first, without which nothing may change. Then the record, without which no credential could be ended.
    redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
    redis.call('HSET', metadata, unpack(ARGV, fields, fields + count - 1))
    redis.call('DEL', credential, older, ended, derived, unpack(below))
    if older_why ~= reason then put(older_why, 'revoked ' .. id, gone_until) end
    if ended_why ~= reason then put(ended_why, 'revoked ' .. id, gone_until) end
    if older_record ~= '' then put(older, older_record, older_until) end
    if why == '' then redis.call('DEL', reason) else put(reason, why, reason_until) end
    if is_on then put(credential, record, expires .. '000') end
    redis.call('ZADD', is_on and on or off, place, id)
    redis.call('ZADD', expiries, (is_on and '' or '-') .. (expires == '0' and created or expires), id)
    redis.call('ZREM', is_on and off or on, id)
    for _, index in ipairs({dead, purges}) do redis.call('ZREM', index, id) end
    local rows = old_row ~= row and redis.pcall('GET', block)
    local found = type(rows) == 'string' and string.find(rows, old_row, 1, true)
    if found and #row == #old_row then redis.call('SETRANGE', block, found - 1, row)
    elseif found then redis.call('SET', block, rows:sub(1, found - 1) .. row .. rows:sub(found + #old_row)) end
  end
  replies[#replies + 1], at = is_current and 1 or 0, fields + count
end
return replies
