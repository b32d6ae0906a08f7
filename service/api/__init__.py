"""HTTP: one class of operations per kind of client. Only api/ and edge/ know status codes.

http      what all operations share: the request, the router, problems, the OpenAPI document
auth      turns a request's headers into a caller
admin     /api/admin: managed tokens, audit, webhooks, sessions
gateway   /validate, the question gateways ask, and its answer
pages     /dashboard and /docs
metrics_port  a separate port for /metrics
one_time sessions oauth self_service subject_limits operations  each serves one kind of client

An Api class lists its operations. `http/application.py` routes each call to one operation, which asks the rules in
tokens/ and answers with a struct. api/ knows no rules, keys or Redis. Api classes never import each other.
"""
