--[[ Add the uses of a second to the records of tokens; a token that has no record any more is skipped.
KEYS[1]  last uses (zset)   KEYS[2]  active tokens (zset)   KEYS[3]  ended or off (zset)   KEYS[4]  expired ones (zset)
KEYS[5...] for each token: metadata (hash), usage (hash)
ARGV[1]  hour since the epoch
ARGV[2...] for each, one text: last use (epoch seconds or 0), allowed, denied, last address, separated by spaces; then a
           line with the user agent; then the digest of the secret
returns  the keys of tokens whose records hold other hours than this one, which are to be put away
cost     O(tokens)
]]
local last_uses, on, off, dead = unpack(KEYS, 1, 4)
local this_hour = ARGV[1]
local at, uses, begun, match = 2, {}, {}, string.match
local function note(list, first, second) list[#list + 1], list[#list + 2] = first, second end
for place = 5, #KEYS, 2 do
  local metadata, usage = unpack(KEYS, place, place + 1)
  local used_at, allowed, denied, address, agent, digest = match(ARGV[at], '^(%d+) (%d+) (%d+) (.-)\n(.-)\n(.*)')
  local was = redis.pcall('HMGET', metadata, '@digest', '@last_hour', '@last_used_at', '@last_address', '@last_agent')
  if was[1] then
    local hour, a, d, number, before = match(was[2] or '', '^(%d+),(%d+),(%d+),(%d+)(.*)$')
    if hour == this_hour then allowed, denied = a + allowed, denied == '0' and d or d + denied
    else number, before = (number or 0) + 1, hour and ',' .. was[2] or '' end
    if before ~= '' then note(begun, metadata, usage) end
    local counted = table.concat({this_hour, allowed, denied, number}, ',') .. before
    local last, said = tonumber(was[3]) or 0, {'@last_hour', counted}
    if tonumber(used_at) >= math.max(1, last) then -- another process may have written a later use
      local id = string.sub(metadata, -16) -- a key ends in the id
      note(said, '@last_used_at', used_at)
      if address ~= '' and address ~= was[4] then note(said, '@last_address', address) end
      if agent ~= '' and agent ~= was[5] then note(said, '@last_agent', agent) end
      -- Another secret: the previous one in its overlap, or that of a derived token.
      local other = digest ~= was[1] and redis.call('HGET', metadata, '@predecessor')
      if digest == other then note(said, '@predecessor_used_at', used_at) end
      note(uses, used_at, id)
      if last == 0 and not redis.call('ZSCORE', last_uses, id) then -- the first use: no longer listed as unused
        for _, set in ipairs({on, off, dead}) do if redis.call('ZADD', set, 'XX', 'INCR', -5e15, id) then break end end
      end
    end
    redis.call('HSET', metadata, unpack(said))
  end
  at = at + 1
end
if #uses > 0 then redis.call('ZADD', last_uses, unpack(uses)) end
return begun
