"""HTTP: one class of operations per kind of client. With edge/ the only place that knows a status code.

http      what all of them share: the request, the router, problems, the OpenAPI document
auth      where a header becomes a caller
admin     /api/admin: managed tokens and all that administrators do
gateway   /validate, the question gateways ask, and its answer
pages     /dashboard and /docs
metrics_port  a port of its own for /metrics
one_time sessions oauth self_service subject_limits operations  one kind of client each

An Api class lists its operations; `http/application.py` routes a call to one, which asks the rules in tokens/
and answers with a struct. Rules, keys and Redis are not known here. Api classes never import each other.
"""
