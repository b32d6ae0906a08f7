"""Where a request's headers become a caller.

presented  the secrets a request presents, by header field, HTTP Basic or in the original URI
callers    administrators, viewers and holders of managed tokens: who calls, and may they; the body of a sign-in
clients    programs at introspection, revocation and batch: Basic, form fields or Bearer
cookies    the dashboard's session in a cookie, and proof that its own page asks

Whether a secret is valid is decided by tokens/authority.py; here it becomes an origin, a role or a refusal.
"""
