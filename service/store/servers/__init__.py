"""Which servers a URL means, and how to reach them.

url       the URL of Redis, checked
opening   connections: time-outs, TLS, several addresses side by side; one Redis, if it is a primary
sentinel  the primary that sentinels name
cluster   one pipeline a node, and commands sent on to where their shard went
links     any of the three, as one link for each shard

Nothing else knows which of the three it is.
"""
