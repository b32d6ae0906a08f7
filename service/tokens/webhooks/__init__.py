"""Webhooks: events sent to other services, signed, at least once, for a day.

registry      receivers and their signing secrets
events        what can be sent
notices       events that are no audit entries: expiries, limits, a one-time token used twice
deliveries receiver delivery  events read, written as messages, sent and sent again
sender        one signed POST to an address that was checked
ssrf          which URLs and addresses may be called (server-side request forgery)
lookups       the addresses of their names
delivery_log  what became of deliveries; one sent once more, or a test message, at once

audit entry or notice -> deliveries -> sender -> receiver; what waits is in store/outbox.py.
"""
