"""Which servers a URL means, and how to reach them.

url       the URL of Redis, checked
opening   connections: time-outs, TLS, several addresses side by side; one Redis, if it is a primary
sentinel  the primary that sentinels name
cluster   one pipeline for each node; commands follow their shard when it moves
node      a pipeline, and a second one beside it
links     any of the three topologies, as one link for each shard

No other module knows which of the three topologies is used.
"""
