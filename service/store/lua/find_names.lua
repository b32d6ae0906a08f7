--[[ Search folded names for a text, and the ends of tokens, some blocks of them at a time.
KEYS[...]  blocks of rows `name NUL last-characters id created LF` (string): folded, id and creation 16 characters each
ARGV[1]  the text, folded, without NUL and LF
ARGV[2]  about how many bytes to read, of one block at least
ARGV[3]  the first creation that counts, and ARGV[4] the last: 16 digits each
ARGV[5]  all of these, or the oldest or newest alone
ARGV[6]  how many finds of one block are enough: one that has more is read no further
returns  how many of the blocks were read; then id and creation of each find, 32 characters | -1 for enough of one block
cost     O(b) for b bytes: with 200,000 a sixth of a millisecond
]]
local text, bytes, first, last, wanted = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local length, enough, found = #text, tonumber(ARGV[6]), {#KEYS}
for number, block in ipairs(KEYS) do
  if bytes <= 0 then
    found[1] = number - 1
    break
  end
  local rows = redis.call('GET', block) or ''
  -- A block read, and a find below, take as long as so many bytes.
  bytes = bytes - #rows - 250
  local most = #found + enough
  local at = string.find(rows, text, 1, true)
  while at do
    local row_end = string.find(rows, '\n', at, true)
    if not row_end then break end
    local name_end = string.find(rows, '\0', at, true) or row_end
    -- In the name, or at the end of the last characters; not in their middle, nor in an id.
    local ending = row_end - 32 - length
    local is_find = name_end < row_end or at == ending
    local created = string.sub(rows, row_end - 16, row_end - 1)
    if is_find and created >= first and created <= last then
      found[wanted == 'all' and #found + 1 or 2] = string.sub(rows, row_end - 32, row_end - 1)
      if #found > most then return {-1} end
      -- From here on nothing counts that is further away.
      if wanted == 'oldest' then last = created elseif wanted == 'newest' then first = created end
    end
    at = string.find(rows, text, (is_find or at > ending) and row_end or ending, true)
    bytes = bytes - 500
  end
end
return found
