"""Turns a request's headers into a caller.

presented  the secrets a request presents: by header field, HTTP Basic or in the original URI
callers    administrators, viewers and holders of managed tokens: who calls, and what they may do; the body of a sign-in
clients    programs that introspect, revoke or ask in a batch: Basic, form fields or Bearer
cookies    the dashboard's session in a cookie, and the proof that the dashboard's own page sent a request

tokens/authority.py decides whether a secret is valid; here the verdict becomes an origin, a role or a refusal.
"""
