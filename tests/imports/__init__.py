"""Tokens that other systems issued, exported as deploy/IMPORT.md says, imported and used: `make imports`."""
