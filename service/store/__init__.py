"""Redis: the only place that knows a key name or a command.

driver   pipelining, scripts, keys and shards
monitoring  whether Redis may be used
servers  one Redis, the primary of sentinels, or a cluster, by URL
lua      the scripts, one atomic decision each
pacing   long work that lets requests go first; batch_size how much of it is asked for at once
fence    one use also across failovers
decoding what this service writes, told from what somebody else did
managed  managed tokens: records, lists, search, import, expiry; limits: what counts them
credentials sessions one_time  what a secret's digest leads to
audit usage webhooks outbox idempotency attempts  what else is kept

A method here is one round trip unless it says otherwise. Whether something may happen is decided in tokens/;
what must be decided together with a write is in a script.
"""
