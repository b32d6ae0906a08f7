"""The dashboard: static files, a client of the public API.

index.html app.css icon.svg  the page
js/                          its modules, no framework, no build step
bundle.py                    the files as they are served: compressed, named by checksum, once per process
minifier.py                  the modules as two scripts, and what a browser needs of scripts and styles

Served by api/pages/dashboard.py. Nothing here knows the service's layers.
"""
