"""The client of a running service.

http            requests, and refusals of the service as one line each
heads           heads of answers, checked to be complete
answers         the shapes of the answers
address         where the service is
session_state   the session of `login`, kept in a private file
references      finds a token by id or by name

Nothing here prints: that is in terminal/. Nothing imports the service's own layers except shared types.
"""
