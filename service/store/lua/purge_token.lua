--[[ Remove the record of a token that ended long ago, with any credential that is left.
KEYS[1]  metadata (hash)              KEYS[2]  usage (hash)
KEYS[3]  credential (string)          KEYS[4]  predecessor's credential (string)
KEYS[5]  ended or switched off (zset) KEYS[6]  expired tokens (zset)
KEYS[7]  purges (zset)                KEYS[8]  names (zset)
KEYS[9]  tokens of the creator (zset) KEYS[10] imported tokens (zset)
KEYS[11] last uses (zset)             KEYS[12] its block of folded names (string)
KEYS[13] mark that a token of this id was revoked (string)
ARGV[1]  id                           ARGV[2]  member in names
ARGV[3]  member in names of a revoked token
ARGV[4]  its row in the block         ARGV[5]  until when to keep that mark, epoch ms, 0 forever, empty for no mark
returns  1 removed | 0 not due, or done already | -1 the token has not ended
cost     O(log n)
]]
local metadata, usage, credential, predecessor, off, dead, purges = unpack(KEYS, 1, 7)
local names, owned, imported, used, block, told = unpack(KEYS, 8)
local id, member, freed, row, told_until = unpack(ARGV)
local now = tonumber(redis.call('TIME')[1])
local due = redis.call('ZSCORE', purges, id)
if not due or tonumber(due) > now then return 0 end
local known = redis.call('HMGET', metadata, '@digest', '@expires_at', '@revoked_at')
local expires, revoked = tonumber(known[2] or '0') or 0, known[3] or '0'
if known[1] and revoked == '0' and (expires == 0 or expires > now) then return -1 end
redis.call('DEL', credential, predecessor, metadata, usage)
local till = told_until == '0' and {} or {'PXAT', told_until}
if told_until ~= '' then redis.call('SET', told, 'revoked ' .. id, unpack(till)) end
for _, index in ipairs({purges, off, dead, owned, imported, used}) do redis.call('ZREM', index, id) end
redis.call('ZREM', names, member, freed)
local rows = redis.pcall('GET', block)
local at = string.find(type(rows) == 'string' and rows or '', row, 1, true)
if at then
  local left = string.sub(rows, 1, at - 1) .. string.sub(rows, at + #row)
  if not string.find(left, '[^\n]') then redis.call('DEL', block)
  elseif string.sub(id, -1) == '0' then
    -- One removal of sixteen rewrites the block, without the blanks that the others leave.
    left = string.gsub(string.gsub(left, '^\n+', ''), '\n\n+', '\n')
    redis.call('SET', block, left)
  else redis.call('SETRANGE', block, at - 1, string.rep('\n', #row)) end
end
return 1
