"""/validate: the question that gateways ask on every request, and the answer's bytes.

validate  the ordinary routes: /validate and its forms for one-time tokens and for Envoy
batch     up to 100 tokens in one question
answers   a verdict as status, headers and body; the scopes that a request requires

edge/validation.py answers the same question with the same functions of `answers`; a contract test compares both.
api/auth/presented.py decides which secrets a request presents.
"""
