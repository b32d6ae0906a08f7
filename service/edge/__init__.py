"""The edge: uvicorn's protocol, limits on what a client may send, and a fast path for what is asked most.

A head that `known_heads` has seen is not parsed again; any other is read by the parser and checked by `head`. Then one
cycle answers: of the fast path, which asks Redis and writes by itself, or uvicorn's, which runs the ASGI application.

protocol   one connection: chooses the cycle of each request
reading    the same connection below that: heads and bodies within the limits of `head`, and refusals
known_heads heads that came before: as a whole except what each says once, or line by line
fast_cycle what all cycles of the fast path have in common, `fast_path` what they share between connections
validation /validate, answered from the parser's callback without an ASGI scope
operations which others have a fast path; `checks` of tokens and sessions, and those of `one_time` tokens
ordinary   everything else: uvicorn's cycle, which writes a whole answer at once
limits     how many connections may be open; their `deadlines` are checked by one timer

What a verdict says on the wire is in api/gateway/answers.py; both ways to /validate use it.
"""
