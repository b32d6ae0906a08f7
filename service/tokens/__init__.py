"""The rules: what may happen to a token. No HTTP, no key names.

authority   decides whether a secret may be used now; every decision asks Redis; batch: of many
credential  one record, decoded and authenticated, and the checks on it
secret      minting, parsing and checksums of secrets
one_time sessions  the two other kinds of token
managed     managed tokens: their whole life; imported: what other systems kept of their secrets
explanation  why a secret is accepted or refused, check by check
audit       the audit log and its checkpoints
webhooks    events sent to others
accounts    who may sign in: accounts file, passwords, JWTs
rights      how much the holder of a managed token may hand on
usage charging limits  counting use and reading it back, charging it, how much of limits is left
hygiene idempotency lifetime  finding unused tokens, safe repetition, policy

Rooms import this folder; nothing here imports managed or webhooks.
"""
