"""The token service: issue, validate, consume, rotate and revoke API tokens beside one Redis.

Layers, from the top; imports point down, never up, and folders never form a cycle. Tests read both.

app composition        the composition root: builds every object once
lifespan cli           starts and stops the process; the command line
embedded               a Redis that the service starts itself
edge                   the uvicorn protocol: limits on requests, the fast path for /validate
api                    HTTP: one file per kind of client; only api and edge know status codes
tokens                 the rules: what may happen to a token
store                  Redis: keys, scripts, records; only store knows key names
dashboard docs         static files, and the bundle that serves them
model errors settings keyring identifiers addresses user_files metrics counters logs  types shared by all layers

A request goes edge -> api/http -> one Api class -> tokens -> store -> Redis, and crosses each layer once.
"""

__version__ = "0.1.0"
