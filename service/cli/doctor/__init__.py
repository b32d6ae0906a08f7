"""`doctor`: everything the service needs, checked without starting or changing anything.

command       the command, and the checks of this machine: settings, data directory, server key, accounts, ports
redis_server  Redis: reached, fit for tokens, of the same time; what a finding is

The same conditions are enforced by `serve`; here they are only reported.
"""
