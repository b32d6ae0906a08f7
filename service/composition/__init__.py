"""The composition root in four steps: three groups of objects, and what a process does with them.

stores   what speaks to Redis
rules    what decides, from the stores: audit log, accounts, webhooks, managed tokens, and the rest
routes   what answers requests, from the rules
startup  what runs from the start to the end of the process

service/app.py takes them in this order. Every object is built once, here; none finds another one by name.
"""
