"""/api/admin: what administrators do with managed tokens, mirroring the URL.

token_list                            a page of tokens, and how many tokens there are
tokens bulk_revocation import_export  change and rotate tokens: one, many, all
usage audit                           what happened to tokens, and which ones nobody needs
explain                               why a token is accepted or refused
webhooks                              which receivers get events
sessions                              which users are signed in, and which accounts exist
idempotency                           the Idempotency-Key header
token_views                           records and filters, in the form these operations share
schemas                               the bodies on the wire that several files share

Each operation finds its caller in api/auth, asks a rule in tokens/managed, audit or webhooks, and answers a schema.
"""
