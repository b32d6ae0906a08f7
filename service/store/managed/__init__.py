"""Managed tokens in Redis.

tokens      created, read and changed, each change with its indexes and audit entry
names       each token's name, unique and reserved
records     the metadata hash and its struct, encoded and decoded
listing listing_slices listing_sources query search  a page of tokens, sorted, filtered, searched
statistics  counts by status
derived     tokens that are derived from another token and end with it
imports     tokens recorded in the state that they had elsewhere
expiry      the sweep: expiry, purge
hygiene     counts of unused tokens

The same scripts write the credential that a secret leads to; store/credentials.py reads it.
"""
