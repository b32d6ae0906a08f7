--[[ Record tokens that were made elsewhere, of the same creator and state, each whole or not at all.
KEYS[1]  active, ended or switched off, or expired tokens (zset)     KEYS[2]  expiries, or purges (zset)
KEYS[3]  names (zset)           KEYS[4]  tokens of the creator (zset)   KEYS[5]  imported tokens (zset)
KEYS[6]  last uses (zset)       KEYS[7]  audit log (stream)
KEYS[8...] for each: credential, reason why it is gone, previous secret in its overlap, its reason (string),
         metadata (hash), its block of folded names, mark that a token of its id was revoked (string)
ARGV[1]  audit entries to keep    ARGV[2]  1 if another system made the secrets
ARGV[3...] for each as below, empty if absent or not to be written: `name` ends with NUL, and is only NUL if it was
         announced; `time` is negative if switched off; `..._until` epoch milliseconds, 0 for never; then its fields
returns  for each: 1 recorded | -1 the id is known | -2 a secret is known, or may be one that was rotated away
         | -3 its announcement was removed
         | the id of the token that holds the name
cost     O(k log n) for k tokens
]]
local listed, timers, names, owned, imported, used, events = unpack(KEYS, 1, 7)
local keep, are_imported = unpack(ARGV, 1, 2)
local at, replies, placed, timed, births, uses, seen, records = 3, {}, {}, {}, {}, {}, {}, {}
local function add(key, list) if #list > 0 then redis.call('ZADD', key, unpack(list)) end end
local function put(key, text, till) redis.call('SET', key, text, unpack(till == '0' and {} or {'PXAT', till})) end
for first = 8, #KEYS, 7 do
  local credential, reason, older, older_reason, metadata, block, told = unpack(KEYS, first, first + 6)
  local id, name, member, created, place, time, record, record_until, word, word_until = unpack(ARGV, at, at + 9)
  local older_record, older_until, older_word_until, used_at, row, entry, seal, count = unpack(ARGV, at + 10, at + 17)
  local holder = #name > 1 and redis.call('ZRANGEBYLEX', names, '[' .. name, '(' .. name .. 'g', 'LIMIT', 0, 1)[1]
  local reply, fields = holder and string.sub(holder, #name + 1) or id, at + 18
  local met = redis.call('EXISTS', credential, reason, older, metadata, told) > 0 -- mostly none of them
  if seen[metadata] or met and redis.pcall('HEXISTS', metadata, '@digest') ~= 0 then reply = -1
  elseif seen[credential] or seen[older] then reply = -2
  elseif met and redis.call('EXISTS', credential, reason, older, told) > 0 then reply = -2
  elseif name == '\0' and not met then reply = -3
  elseif reply == id then
    redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
    if member ~= '' then redis.call('ZADD', names, 0, member) end
    for list, score in pairs({[placed] = place, [births] = created, [timed] = time, [uses] = used_at}) do
      if score ~= '' then list[#list + 1], list[#list + 2] = score, id end
    end
    seen[metadata], seen[credential], seen[older], reply = true, true, true, 1
    records[#records + 1] = function() -- behind the lists: no token works that none has
      local added = redis.pcall('APPEND', block, row) -- as in create_token.lua
      if type(added) == 'table' and not string.find(tostring(added.err), 'WRONGTYPE') then error(added.err) end
      if met then redis.call('DEL', metadata) end -- an announcement, which would end by its time
      redis.call('HSET', metadata, unpack(ARGV, fields, fields + count - 1))
      if record ~= '' then put(credential, record, record_until) end
      if word ~= '' then put(reason, word, word_until) end
      if older_record ~= '' then put(older, older_record, older_until) end
      if older_record ~= '' then put(older_reason, 'revoked ' .. id, older_word_until) end
    end
  end
  replies[#replies + 1], at = reply, fields + count
end
for _, each in ipairs({{listed, placed}, {timers, timed}, {owned, births}, {used, uses}}) do add(unpack(each)) end
if are_imported == '1' then add(imported, births) end
for _, write in ipairs(records) do write() end
return replies
