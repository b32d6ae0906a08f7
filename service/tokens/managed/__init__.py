"""Managed tokens: created, edited, rotated, deactivated, revoked, expired, imported.

tokens         create, edit, revoke one
name_holders   who bears a name that is wanted for another
queries        lists, counts and export
seals          what the server key vouches for in records and credentials
records        reading a record and writing it with its credential and audit entry, atomically
rotation       a new secret under the same id, with an overlap for the old one
derivation     narrower tokens that end with the one they come from
bulk revocation  many at once, in slices; one by its secret alone
imports import_admission  records in, and tokens of other systems; which of them may
sweeper        what time has ended

Every change goes through `records`, which makes the audit entry that the store writes in the same script.
"""
