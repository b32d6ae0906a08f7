"""Secrets that other systems made.

digest_forms  how other systems write down what they keep of a secret, and which of it a lookup can find
"""
