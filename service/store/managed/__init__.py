"""Managed tokens in Redis.

tokens      created, read and changed, each change with its indexes and audit entry
names       each token's name, unique and reserved
records     the metadata hash and its struct, each way
listing listing_slices listing_sources query search  a page of tokens, sorted, filtered, searched
statistics  counts by status
derived     tokens that come from another and end with it
imports     tokens recorded in the state they had elsewhere
expiry      what time ended: expiry, purge
hygiene     tokens that nobody uses

The credential that a secret leads to is written by the same scripts and read by store/credentials.py.
"""
