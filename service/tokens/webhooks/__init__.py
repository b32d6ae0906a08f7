"""Webhooks: events sent to other services, signed, at least once, for a day.

registry      receivers and their signing secrets
events        the types of events
notices       events without an audit entry: expiries, limits, a one-time token used twice
deliveries receiver delivery  read events, write messages, send them and retry
sender        one signed POST to a checked address
ssrf          which URLs and addresses may be called (server-side request forgery)
lookups       resolves host names
delivery_log  the state of deliveries; sends one of them, or a test message, at once

audit entry or notice -> deliveries -> sender -> receiver; store/outbox.py keeps what waits.
"""
