--[[ Find the commands that the service calls, in scripts or alone, and that the access list forbids.
KEYS[1]  a scratch key (string)
returns  the names of the forbidden commands
cost     O(1)
]]
local key, forbidden = KEYS[1], {}
-- On a string, which is written first and removed last, most of these commands only fail.
for _, command in ipairs({
  'SET KEY 1 PX 5000', 'GET KEY', 'MGET KEY', 'EXISTS KEY', 'TTL KEY', 'PTTL KEY', 'TIME', 'APPEND KEY 1',
  'SETRANGE KEY 0 1', 'HSET KEY a 1', 'HSETNX KEY a 1', 'HGET KEY a', 'HMGET KEY a', 'HGETALL KEY',
  'HLEN KEY', 'HEXISTS KEY a', 'HDEL KEY a', 'HINCRBY KEY a 1', 'ZADD KEY 1 a', 'ZREM KEY a', 'ZSCORE KEY a',
  'ZMSCORE KEY a', 'ZRANK KEY a', 'ZCARD KEY', 'ZCOUNT KEY 0 1', 'ZRANGE KEY 0 1', 'ZRANGEBYSCORE KEY 0 1',
  'ZREVRANGEBYSCORE KEY 1 0', 'ZRANGEBYLEX KEY - +', 'ZREVRANGEBYLEX KEY + -', 'ZREMRANGEBYLEX KEY - +',
  'XADD KEY * a 1', 'XLEN KEY', 'XRANGE KEY - +', 'XREVRANGE KEY + -', 'XTRIM KEY MAXLEN ~ 1 LIMIT 1',
  'XINFO STREAM KEY', 'SADD KEY a', 'SMEMBERS KEY', 'LPUSH KEY a', 'LRANGE KEY 0 1', 'LREM KEY 1 a', 'LTRIM KEY 0 1',
  'EXPIREAT KEY 1', 'EXPIRE KEY 5', 'PEXPIRE KEY 5000', 'GETDEL KEY', 'UNLINK KEY', 'DEL KEY',
}) do
  local words = {}
  for word in string.gmatch(command, '%S+') do words[#words + 1] = word == 'KEY' and key or word end
  local reply = redis.pcall(unpack(words))
  local told = type(reply) == 'table' and reply.err or ''
  -- The words of 7.0, and those of earlier versions.
  if string.find(told, 'permission', 1, true) or string.find(told, 'run this command', 1, true) then
    forbidden[#forbidden + 1] = words[1]
  end
end
return forbidden
