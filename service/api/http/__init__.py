"""HTTP itself, with no knowledge of tokens.

application  the ASGI application: request ids, answers to exceptions, counting and logging
router       finds what answers a path and a method
call         one request as a handler sees it; its query decoded
bodies       JSON bodies decoded and written, long ones in steps
operation    how an operation is declared, and what its handler takes and returns
proxies      trusted proxies, and the client's address that they report
public_address  the address under which a client reaches the service; URLs read and compared
problems     the table of status codes: refusals and exceptions as RFC 9457 problems
timestamps   instants as RFC 3339
validate_paths  which form of /validate a path means
access       who may call what: the table of roles and scopes that operations name
openapi examples  the OpenAPI document, from the operations and their types; its texts and examples

A request: application makes a Call, finds the operation, runs the handler, turns what it raises into a problem.
"""
