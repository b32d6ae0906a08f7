"""`serve`: from the settings to a listening service, and its end in order.

command      the command: settings, Redis, listener, signals
sockets      the listening sockets, and systemd's socket activation and readiness
tls          the certificate, and the time limit for handshakes
listener     uvicorn in one process or several, and the code of each worker

Without a configured Redis and accounts file:
managed_redis  a Redis that runs as long as the service, by service/embedded/
first_start    the first account and its password

service/lifespan.py has what the process does meanwhile.
"""
