"""`serve`: from the settings to a listening service, and its end in order.

command      the command: settings, Redis, listener, signals
sockets      what it listens on, and systemd's side of that
tls          the certificate, and how long a handshake may take
listener     uvicorn in one process or several, and what each of several runs

Where no Redis is named, and no accounts file:
managed_redis  a server of its own while it serves, by service/embedded/
first_start    the first account and its password

What the process does meanwhile is in service/lifespan.py.
"""
