"""Who may sign in, and how that is proven.

accounts   the accounts of the TOML file, with their roles
passwords  argon2id in threads
login      checks a password, within the limits on guessing: by account, address, network and in all
jwt        administrators' JWTs of an identity provider
jwks       the keys those are verified with

The sessions that a password is traded for are in tokens/sessions.py; so is reading the file again, which ends some.
"""
