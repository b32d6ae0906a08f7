"""The client of a running service.

http            requests, and its refusals as one line each
heads           heads of answers that came to their end
answers         the shapes of what it answers
address         where the service is
session_state   the session of `login`, kept in a private file
references      a token by id or by name

Nothing here prints: that is terminal/. Nothing imports the service's own layers beyond shared types.
"""
