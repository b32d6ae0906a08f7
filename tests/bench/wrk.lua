--[[ One wrk script for every case: makes the requests of one spec and checks every answer.
arguments  key=value after wrk's own, as tests/bench/load.py writes them:
  method, auth, type, body   of the request; @TOKEN@, @NAME@ and @ADDRESS@ in them are replaced anew for each request
  head                       the request line and all fields, a line each, in place of method, auth and type
  tokens                     file with one token a line: @TOKEN@ takes the next; a run that finds none left is void
  again                      with tokens: 1 starts over at the first token instead
  share                      with tokens: 1/2 takes the first half of the lines, 2/2 the second
  run                        a name of this run: @NAME@ is that and a number that counts up
  status, length             what each answer must have; length is also compared with the body's own length
  header, value              a header, its name in lower case, and what it must be
  contains                   a piece the body must have
  save                       file that gets the "token" member of each answer, one a line
  member                     with save: another member than that
prints     one line `BENCH {json}`: requests, good, duration in us, latencies in us, socket errors, whether the run is
           void, the first wrong answer
]]
local threads = {}
local option = {}
local tokens, next_token, count = {}, 0, 0
local saved, kept
good, bad, sample, void = 0, 0, "", 0

function setup(thread)
  threads[#threads + 1] = thread
end

local function take_token()
  next_token = next_token + 1
  if next_token > #tokens then
    next_token = 1
    if option.again ~= "1" then void = 1 end
  end
  return tokens[next_token]
end

local function take_name()
  count = count + 1
  return option.run .. "-" .. count
end

-- In the order in which they are taken: an address goes by the number of the name.
local values = {
  { "TOKEN", take_token },
  { "NAME", take_name },
  { "ADDRESS", function() return "203.0.113." .. count % 250 + 1 end },
}

-- Fills a text anew with each call. Taken apart once: what is searched for each request takes time from Redis, which
-- shares the core, and makes the server wait.
local function filling(text)
  local parts, from = {}, 1
  local places = { TOKEN = {}, NAME = {}, ADDRESS = {} }
  for first, name, after in text:gmatch("()@(%u+)@()") do
    if places[name] then
      parts[#parts + 1] = text:sub(from, first - 1)
      table.insert(places[name], #parts + 1)
      parts[#parts + 1] = ""
      from = after
    end
  end
  parts[#parts + 1] = text:sub(from)
  return function()
    for _, value in ipairs(values) do
      local filled_in = places[value[1]]
      if #filled_in > 0 then
        local taken = value[2]()
        for _, place in ipairs(filled_in) do parts[place] = taken end
      end
    end
    return table.concat(parts)
  end
end

local function read_tokens(path, share)
  local all = {}
  for line in io.lines(path) do all[#all + 1] = line end
  local part, parts = (share or "1/1"):match("(%d)/(%d)")
  local size = math.floor(#all / parts)
  for index = size * (part - 1) + 1, size * part do tokens[#tokens + 1] = all[index] end
end

-- Fills a whole request anew each time; what `wrk.format` says of the body's length is corrected.
local function filled(whole)
  local head, body = whole:match("^(.-\r\n\r\n)(.*)$")
  head = filling((head:gsub("Content%-Length: %d+\r\n", "")):sub(1, body == "" and -1 or -3))
  if body == "" then return head end
  body = filling(body)
  return function()
    local sent = body()
    return head() .. "Content-Length: " .. #sent .. "\r\n\r\n" .. sent
  end
end

function init(arguments)
  for _, argument in ipairs(arguments) do
    local key, value = argument:match("^(%w+)=(.*)$")
    option[key] = value
  end
  wrk.method = option.method or "GET"
  wrk.headers["Authorization"] = option.auth
  wrk.headers["Content-Type"] = option.type
  wrk.body = option.body
  if option.tokens then read_tokens(option.tokens, option.share) end
  if option.save then saved = io.open(option.save, "w") end
  kept = '"' .. (option.member or "token") .. '":%s*"([%w_]+)"'
  option.status = tonumber(option.status)
  option.capitals = option.header and ("-" .. option.header):gsub("%-(%l)", function(c) return "-" .. c:upper() end):sub(2)
  if option.head then
    request = filled(option.head:gsub("\n", "\r\n") .. "\r\n" .. (option.body or ""))
  elseif ((option.auth or "") .. (option.body or "")):find("@%u+@") then
    request = filled(wrk.format())
  end
end

local function right(status, headers, body)
  local length = headers["content-length"] or headers["Content-Length"]
  if status ~= option.status or tonumber(length) ~= #body then return false end
  if option.length and length ~= option.length then return false end
  if option.header and (headers[option.header] or headers[option.capitals]) ~= option.value then return false end
  return not option.contains or body:find(option.contains, 1, true) ~= nil
end

function response(status, headers, body)
  local token = saved and body:match(kept)
  if not right(status, headers, body) or (saved and not token) then
    bad = bad + 1
    if bad == 1 then sample = status .. " " .. body:sub(1, 300) end
    return
  end
  good = good + 1
  if saved then saved:write(token, "\n") end
end

local function quoted(text)
  return '"' .. text:gsub('[%c\\"]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

function done(summary, latency)
  local all_good, all_bad, first, any_void = 0, 0, "", 0
  for _, thread in ipairs(threads) do
    all_good = all_good + thread:get("good")
    all_bad = all_bad + thread:get("bad")
    any_void = math.max(any_void, thread:get("void"))
    if first == "" then first = thread:get("sample") end
  end
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  print(("BENCH {\"requests\":%d,\"good\":%d,\"bad\":%d,\"lost\":%d,\"us\":%d,\"p50\":%d,\"p99\":%d,\"void\":%d,\"sample\":%s}")
    :format(summary.requests, all_good, all_bad, lost, summary.duration,
      latency:percentile(50), latency:percentile(99), any_void, quoted(first)))
end
