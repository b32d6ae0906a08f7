--[[ Add what a second brought to the usage of tokens; one that has no record any more is left out.
KEYS[1]  last uses (zset)   KEYS[2]  active tokens (zset)   KEYS[3]  ended or off (zset)   KEYS[4]  expired ones (zset)
KEYS[5...] of each token: metadata (hash), usage by day (hash), usage by hour (hash)
ARGV[1]  day, ARGV[2]  hour since the epoch    ARGV[3]  seconds that days are kept    ARGV[4]  and hours
ARGV[5...] of each in one text: last use, epoch seconds, or 0, allowed, denied, last address, with spaces between; on a
           line of its own the user agent; and behind that the digest of the secret
returns  the hashes of days, and those of hours, in which a new one begins: to be folded
cost     O(tokens)
]]
local last_uses, on, off, dead = unpack(KEYS, 1, 4)
local day, hour, keep_days, keep_hours = unpack(ARGV, 1, 4)
local at, uses, new_days, new_hours = 5, {}, {}, {}
local function note(list, first, second) list[#list + 1], list[#list + 2] = first, second end
local function add(key, new, sign, period, count, keep)
  -- Nothing can be added to what is no count of ours, and the other uses of this second must not be lost with it.
  if count == '0' or redis.pcall('HINCRBY', key, sign .. period, count) ~= tonumber(count) then return end
  redis.call('EXPIRE', key, keep)
  if redis.call('HSETNX', key, 't', period) == 1 then return end -- behind a first one there is nothing to be folded
  local told = redis.call('HGET', key, 't')
  if told == period or new[#new] == key then return end -- the other sign began it
  redis.call('HSET', key, 't', string.match(told, '^%d+$') and told .. '-' .. period or '-') -- '-': search all
  new[#new + 1] = key
end
for place = 5, #KEYS, 3 do
  local metadata, days, hours = unpack(KEYS, place, place + 2)
  local id = string.sub(metadata, -16) -- a key ends in the id
  local used_at, allowed, denied, address, agent, digest = string.match(ARGV[at], '^(%d+) (%d+) (%d+) (.-)\n(.-)\n(.*)')
  local was = redis.pcall('HMGET', metadata, '@digest', '@last_used_at', '@last_address', '@last_agent', '@predecessor')
  if was[1] then
    local last, said = tonumber(was[2]) or 0, {'@last_used_at', used_at}
    if tonumber(used_at) >= math.max(1, last) then -- others may have told of a later use
      if address ~= '' and address ~= was[3] then note(said, '@last_address', address) end
      if agent ~= '' and agent ~= was[4] then note(said, '@last_agent', agent) end
      if digest == was[5] then note(said, '@predecessor_used_at', used_at) end
      redis.call('HSET', metadata, unpack(said))
      note(uses, used_at, id)
      if last == 0 and not redis.call('ZSCORE', last_uses, id) then -- no more among those never used
        for _, set in ipairs({on, off, dead}) do if redis.call('ZADD', set, 'XX', 'INCR', -5e15, id) then break end end
      end
    end
    add(days, new_days, 'a', day, allowed, keep_days)
    add(hours, new_hours, 'a', hour, allowed, keep_hours)
    add(days, new_days, 'd', day, denied, keep_days)
    add(hours, new_hours, 'd', hour, denied, keep_hours)
  end
  at = at + 1
end
if #uses > 0 then redis.call('ZADD', last_uses, unpack(uses)) end
return {new_days, new_hours}
