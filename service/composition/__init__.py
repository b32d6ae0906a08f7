"""The composition root in four steps, each a group of objects.

stores   what speaks to Redis
rules    what decides, from the stores: audit log, accounts, webhooks, managed tokens, and the rest
reading  how requests are read, as the settings say
routes   what answers requests, from the rules

service/app.py takes them in this order, and says what runs in the background.
Every object is built once, here; none finds another one by name.
"""
