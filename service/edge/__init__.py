"""The edge: uvicorn's protocol, limits on what a client may send, and a fast path for the most frequent requests.

The parser reads only what `known_heads` does not recognize, and `head` checks it. Then one cycle answers: a cycle of
the fast path, which asks Redis and writes the answer itself, or uvicorn's cycle, which runs the ASGI application.

protocol   one connection: chooses the cycle of each request
reading    the base class of `protocol`: heads and bodies within the limits of `head`, and refusals
known_heads a cache of heads: whole, except for what differs from request to request, or line by line
fast_cycle what all cycles of the fast path have in common, `fast_path` what they share between connections
validation /validate, answered from the parser's callback without an ASGI scope
operations which other operations have a fast path; `checks` of tokens and sessions; `one_time` tokens
ordinary   everything else: uvicorn's cycle, which writes a whole answer at once
limits     how many connections may be open; their `deadlines` are checked by one timer

What a verdict says on the wire is in api/gateway/answers.py; both ways to /validate use it.
"""
