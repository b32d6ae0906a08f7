"""Secrets that other systems made.

digest_forms  how other systems write down what they keep of a secret, and which of it a lookup can find
rules         what of a presented string they kept, and under which digests it is found here
"""
