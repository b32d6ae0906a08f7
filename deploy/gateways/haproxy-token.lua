-- Asks the token service about a request and leaves its answer in variables of the transaction.
-- http-request lua.token <path of the service> <required scope, or ->

local SERVICE = "http://127.0.0.1:8001"
local ANSWERED = {
	token_id = "x-token-id",
	token_subject = "x-token-subject",
	token_scopes = "x-token-scopes",
	token_kind = "x-token-kind",
	token_name = "x-token-name",
	token_challenge = "www-authenticate",
	token_retry_after = "retry-after",
	token_ratelimit = "ratelimit",
	token_ratelimit_policy = "ratelimit-policy",
}

local function all_of(headers, name)
	local values = {}
	for index, value in pairs(headers[name] or {}) do
		values[index + 1] = value
	end
	return #values > 0 and values or nil
end

local function ask(txn, path, scope)
	local headers = txn.http:req_get_headers()
	local asked = {
		["authorization"] = all_of(headers, "authorization"),
		["x-api-key"] = all_of(headers, "x-api-key"),
		["x-token"] = all_of(headers, "x-token"),
		["user-agent"] = all_of(headers, "user-agent"),
		["x-forwarded-for"] = { txn.sf:src() },
		["x-original-uri"] = { txn.sf:url() },
		-- HAProxy asks again after a lost answer. The key says that it is the same question: a one-time token is not lost.
		-- It must be HAProxy's own word, never the client's.
		["x-tokens-retry-key"] = { txn.f:uuid() },
		["x-required-scope"] = scope ~= "-" and { scope } or nil,
	}
	-- The listener's two seconds have to pass first: behind a time-out of its own HAProxy's client asks three times more.
	local answer = core.httpclient():head({ url = SERVICE .. path, headers = asked, timeout = 3000 })
	txn:set_var("txn.token_status", answer.status)
	for variable, name in pairs(ANSWERED) do
		local values = answer.headers and answer.headers[name]
		txn:set_var("txn." .. variable, values and values[0] or "")
	end
end

core.register_action("token", { "http-req" }, ask, 2)
