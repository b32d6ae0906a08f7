"""Who may sign in, and how they prove it.

accounts   the accounts of the TOML file, with their roles
passwords  argon2id in threads
login      checks a password, with limits on guessing: per account, address, network and in total
jwt        administrators' JWTs from an identity provider
jwks       the keys that verify these JWTs

tokens/sessions.py makes the sessions that a password is exchanged for, and reloads the file, which may end some.
"""
