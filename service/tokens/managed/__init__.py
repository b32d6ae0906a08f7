"""Managed tokens: create, edit, rotate, deactivate, revoke, expire, import.

tokens         create, edit and revoke one token
name_holders   which token has a name that is wanted for another
queries        lists, counts and export
seals          the seals on records and credentials, and whether both agree
records        read a record; write it with its credential and audit entry, atomically
rotation       a new secret under the same id, with an overlap for the old one
derivation     narrower tokens that end with the token they come from
bulk revocation  many tokens in slices; one token by its secret alone
imports import_admission  take in records, and tokens of other systems; decide which of them may come in
sweeper        moves and removes tokens that time has ended

Every change goes through `records`, which makes the audit entry that the store writes in the same script.
"""
