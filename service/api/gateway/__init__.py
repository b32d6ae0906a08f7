"""/validate: the question that gateways ask on every request, and the answer's bytes.

validate  the ordinary routes: /validate and its one-time form
batch     up to 100 tokens in one question
answers   a verdict as status, headers and body; the scopes that a request requires

edge/validation.py answers the same question with the same functions of `answers`; a contract test compares them.
Which secrets a request presents is in api/auth/presented.py.
"""
