"""The dashboard: static files, a client of the public API.

index.html app.css icon.svg  the page
js/                          its modules, no framework, no build step
bundle.py                    the modules concatenated, compressed and named by checksum, once per process

Served by api/pages/dashboard.py. Nothing here knows the service's layers.
"""
