"""The composition root in four steps, each a function that returns a frozen group.

stores   what speaks to Redis
rules    what decides, from the stores
routes   what answers requests, from the rules
startup  what runs from the start to the end of the process

service/app.py calls them in this order. Every object is built once, here; none finds another one by name.
"""
