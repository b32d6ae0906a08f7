"""/api/admin: what administrators do with managed tokens, mirroring the URL.

token_list                            a page of tokens, how many there are
tokens bulk_revocation import_export  change and rotate tokens: one, many, all
usage audit                           read what happened to them, and which nobody needs
explain                               says why one is accepted or refused
webhooks                              who is told of events
sessions                              who is signed in, who may
idempotency                           the Idempotency-Key header
token_views                           records and filters as these operations share them
schemas                               the bodies on the wire that several files share

Each operation finds its caller in api/auth, asks a rule in tokens/managed, audit or webhooks, answers a schema.
"""
