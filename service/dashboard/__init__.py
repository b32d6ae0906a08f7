"""The dashboard: static files, a client of the public API.

index.html app.css icon.svg  the page
js/                          its modules, no framework, no build step
bundle.py                    makes the files that are served: compressed, named by checksum, once per process
minifier.py                  joins the modules into two scripts, and makes scripts and styles smaller

api/pages/dashboard.py serves it. The dashboard does not depend on any layer of the service.
"""
