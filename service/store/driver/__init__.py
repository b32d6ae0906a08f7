"""How the service talks to Redis.

connection  the interface of a link
pipeline    one connection, pipelined, with a deadline for each command
reconnection role_check  tries to connect until it succeeds; asks again whether a server is a primary
causes      why Redis does not answer, in words for operators
replies     replies read in order and handed to their callers
scripts     Lua scripts by digest
keys        every key family
many_tokens  reads about many tokens, in one round trip
shards      which key names and which node an id, a name or a digest belongs to
server_clock  the clock of Redis, which all processes share
confirmation removals  what makes sure that a removal outlives a failover or a power failure

No knowledge of tokens. Errors leave as `StoreUnavailable`.
"""
