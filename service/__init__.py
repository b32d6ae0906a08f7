"""The token service: issue, validate, consume, rotate and revoke API tokens beside one Redis.

app running cli      roof     builds every object once, hands each what it needs
embedded metrics_port         a Redis of its own, a port of its own
edge                 floor 4  the uvicorn protocol: limits, the straight path for /validate
api                  floor 3  HTTP: one file per dialect; the only place that knows a status code
tokens               floor 2  rules: what may happen to a token
store                floor 1  Redis: keys, scripts, records; the only place that knows a key name
model errors settings metrics tally logs ground: shared words, no behaviour

Imports point down, never up or sideways.
"""

__version__ = "0.1.0"
