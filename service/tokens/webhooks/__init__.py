"""Webhooks: events sent to other services, signed, at least once, for a day.

registry      receivers and their signing secrets
events        what can be sent
notices       events that are no audit entries: expiries, limits, a one-time token used twice
deliveries receiver messages delivery  events read, written as messages, sent and sent again
trial         a test message, or a delivery once more, sent at once
sender        one signed POST to an address that was checked
ssrf          which URLs and addresses may be called (server-side request forgery)
delivery_log  what became of deliveries

audit entry or notice -> deliveries -> sender -> receiver; what waits is in store/outbox.py.
"""
