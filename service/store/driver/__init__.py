"""How Redis is spoken to.

connection  what a link is
pipeline    one connection, pipelined, with a deadline for each command
reconnection role_check  tries to connect until it succeeds; asks again whether a server is a primary
causes      why there is no answer, for operators
replies     replies read in order and handed to their callers
scripts     Lua scripts by digest
keys        every key family
many_tokens  what belongs to many tokens, in one round trip
shards      which key names and which node an id, a name or a digest belongs to
server_clock  the clock of Redis, which all processes share
confirmation removals  how sure it is that what was taken away stays away

No knowledge of tokens. Errors leave as `StoreUnavailable`.
"""
