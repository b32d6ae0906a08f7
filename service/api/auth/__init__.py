"""Where a request's headers become a caller.

presented  the secrets a request presents, by header field or in the original URI
callers    administrators, viewers and holders of managed tokens: who calls, and may they
clients    programs at introspection, revocation and batch: Basic, form fields or Bearer
basic      HTTP Basic: the pair in an Authorization field, and the token in it
cookies    the dashboard's session in a cookie, and proof that its own page asks
sign_in    the body of a sign-in

Whether a secret is valid is decided by tokens/authority.py; here it becomes an origin, a role or a refusal.
"""
