"""Secrets that other systems made.

digest_forms  the forms in which other systems store a digest of a secret, and which of them a lookup can find
rules         which part of a presented string they hashed, and under which digests it is found here
"""
