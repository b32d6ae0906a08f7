"""The rules: what may happen to a token. No HTTP, no key names.

authority   decides whether a secret may be used now; every decision asks Redis; batch: decides on many
credential  one record, decoded and authenticated, and the checks on it
secret      mint and parse secrets, with their checksums
one_time sessions  the other two kinds of token
managed     managed tokens: their whole life; imported: secrets that other systems made
explanation  why a secret is accepted or refused, check by check
audit       the audit log and its checkpoints
webhooks    events sent to other services
accounts    who may sign in: accounts file, passwords, JWTs
rights      how much of its own rights a managed token may hand on
usage charging limits  count uses and read them, charge limits, and how much of the limits is left
hygiene idempotency lifetime  find unused tokens, safe repetition, policy of lifetimes

Rooms import this folder; nothing here imports managed or webhooks.
"""
