"""Redis: the only place that knows a key name or a command.

driver   pipelining, scripts, keys and shards
monitoring  whether Redis may be used
servers  one Redis, the primary of sentinels, or a cluster, by URL
lua      the scripts, one atomic decision each
pacing   long work that lets requests go first; batch_size how many records it reads at once
fence    keeps a one-time token single-use across failovers
decoding reads what this service wrote, and skips what others wrote
managed  managed tokens: records, lists, search, import, expiry; limits: how their use is counted
credentials sessions one_time  the records that are found by a secret's digest
audit usage webhooks outbox idempotency attempts  everything else that is stored

A method here is one round trip unless it says otherwise. tokens/ decides whether something may happen;
a decision that must be atomic with a write is in a script.
"""
