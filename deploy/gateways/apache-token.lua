-- Asks the token service about a request: the identity goes on to the application, a refusal back to the client.

local socket = require("socket")

local HOST, PORT = "127.0.0.1:8080", nil
HOST, PORT = HOST:match("(.*):(.*)")
local CONNECT_SECONDS, ANSWER_SECONDS = 0.25, 2
-- What the application gets, in place of any that the client made up.
local IDENTITY = {
	"X-Token-Id", "X-Token-Subject", "X-Token-Scopes", "X-Token-Kind", "X-Token-Name", "Remote-User",
	"X-Auth-Request-User",
}
local CREDENTIALS = { "Authorization", "X-API-Key", "X-Token" }
local SAID = { "WWW-Authenticate", "Retry-After", "RateLimit", "RateLimit-Policy" }

local kept -- this thread's connection

local function open()
	local connection = socket.tcp()
	connection:settimeout(CONNECT_SECONDS)
	if not connection:connect(HOST, tonumber(PORT)) then
		return nil
	end
	connection:settimeout(ANSWER_SECONDS)
	connection:setoption("tcp-nodelay", true)
	return connection
end

-- The status and headers of the answer, nil if none came.
local function exchange(connection, request)
	if not connection:send(request) then
		return nil
	end
	local line, why = connection:receive("*l")
	if why == "timeout" then
		-- A second try would keep the client as long again.
		return 503, { connection = "close" }
	end
	local status = line and tonumber(line:match("^HTTP/1%.1 (%d%d%d)"))
	local headers = {}
	while line and line ~= "" do
		line = connection:receive("*l")
		local name, value = (line or ""):match("^([^:]+):%s*(.*)$")
		if name then
			headers[name:lower()] = value
		end
	end
	return line and status, headers
end

-- A kept connection may have been closed meanwhile; then a new one is tried, once.
local function ask(request)
	for _, connection in ipairs({ kept or false, false }) do
		connection = connection or open()
		kept = nil
		if connection then
			local status, headers = exchange(connection, request)
			if status then
				if headers["connection"] == "close" then
					connection:close()
				else
					kept = connection
				end
				return status, headers
			end
			connection:close()
		end
	end
	return 503, {}
end

local function question(r)
	local lines = {
		"HEAD " .. (r.subprocess_env["TOKEN_PATH"] or "/validate") .. " HTTP/1.1",
		"Host: " .. HOST,
		"X-Forwarded-For: " .. r.useragent_ip,
		"X-Original-URI: " .. r.unparsed_uri,
		-- Says that a question asked again after a lost answer is the same: a one-time token is not lost. It must be
		-- Apache's own word, never the client's.
		"X-Tokens-Retry-Key: " .. r.subprocess_env["UNIQUE_ID"],
	}
	if r.subprocess_env["TOKEN_SCOPE"] then
		lines[#lines + 1] = "X-Required-Scope: " .. r.subprocess_env["TOKEN_SCOPE"]
	end
	for _, name in ipairs({ "User-Agent", table.unpack(CREDENTIALS) }) do
		if r.headers_in[name] then
			lines[#lines + 1] = name .. ": " .. r.headers_in[name]
		end
	end
	return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- A client may name any header in Connection as meant for this hop alone: Apache would drop the service's word, too.
local function of_this_hop(named)
	local kept = {}
	for word in (named or ""):lower():gmatch("[^%s,]+") do
		if word == "close" or word == "keep-alive" or word == "upgrade" then
			kept[#kept + 1] = word
		end
	end
	return kept[1] and table.concat(kept, ", ")
end

function check(r)
	local status, headers = 200, {}
	if not r.subprocess_env["TOKEN_PREFLIGHT"] then
		status, headers = ask(question(r))
	end
	-- X_Token_Id is X-Token-Id to applications behind CGI or WSGI.
	for name in pairs(r:headers_in_table()) do
		if name:find("[^%w-]") then
			r.headers_in[name] = nil
		end
	end
	r.headers_in["Connection"] = of_this_hop(r.headers_in["Connection"])
	-- The address is written by mod_proxy, behind what the client said if that stayed.
	for _, name in ipairs({ "X-Forwarded-For", "X-Tokens-Retry-Key", "X-Token-Cost", table.unpack(CREDENTIALS) }) do
		r.headers_in[name] = nil
	end
	for _, name in ipairs(IDENTITY) do
		r.headers_in[name] = headers[name:lower()]
	end
	if status == 200 then
		return apache2.OK
	end
	for _, name in ipairs(SAID) do
		if headers[name:lower()] then
			r.err_headers_out[name] = headers[name:lower()]
		end
	end
	if status == 401 or status == 403 or status == 429 then
		return status
	end
	r.err_headers_out["Retry-After"] = "1"
	return 503
end
