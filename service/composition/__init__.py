"""The composition root in four steps; each step builds a group of objects.

stores   the objects that use Redis
rules    the rules over the stores: audit log, accounts, webhooks, managed tokens, and the others
reading  how requests are read, from the settings
routes   the operations that answer requests, over the rules

service/app.py runs these steps in this order, and lists the background work.
Every object is built once, here; no object finds another one by name.
"""
