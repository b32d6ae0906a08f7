--[[ Read the entries after a place of a stream, and the counts that tell how many were trimmed unread.
KEYS[1]  events (stream)
ARGV[1]  id of the last entry read    ARGV[2]  entries to read
returns  entries ever added, -1 if the server does not count them (before 7.0); entries in the stream;
         id of its first entry, empty for none; the entries read
cost     O(k) for k entries
]]
local events = KEYS[1]
local position, count = unpack(ARGV)
local added, length, first = -1, 0, ''
local info = redis.pcall('XINFO', 'STREAM', events)
if info.err then return {0, 0, '', {}} end
for k = 1, #info, 2 do
  if info[k] == 'entries-added' then added = info[k + 1] end
  if info[k] == 'length' then length = info[k + 1] end
  if info[k] == 'first-entry' and info[k + 1] then first = info[k + 1][1] end
end
return {added, length, first, redis.call('XRANGE', events, '(' .. position, '+', 'COUNT', count)}
