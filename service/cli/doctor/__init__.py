"""`doctor`: everything the service needs, checked without starting or changing anything.

command       the command, and the checks of this machine: settings, data directory, server key, accounts, ports
redis_server  checks Redis: reachable, fit for tokens, clocks equal; defines a finding

`serve` enforces the same conditions; the doctor only reports them.
"""
