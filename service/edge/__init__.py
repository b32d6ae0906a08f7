"""The edge: uvicorn's protocol, limits on what a client may send, and a fast path for what is asked most.

protocol   one connection: hands each request to the fast path or to uvicorn's ordinary way
reading    a connection as it is read: heads and bodies within their limits
cycle      the fast path: /validate answered from the parser's callback, without an ASGI scope
fast_cycle what that is to uvicorn's protocol
operations what is answered there, too: checks of a token, one_time, and what callers with a Bearer token change
fast_path  what all cycles share: what recent requests were worked out to mean, and prepared answers
limits     how many connections may be open: in all, and from one address
head       limits on a request's head, and what two readers of it could understand differently
known_heads heads that came before, whole except for what is said once, or by their lines
deadlines  time-outs of all connections, checked by one timer
ordinary   everything else: uvicorn's cycle, with a whole answer in one write

What a verdict says on the wire is in api/gateway/answers.py; both ways to /validate use it.
"""
