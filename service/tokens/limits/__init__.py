"""Limits: how much of them is left. What a request takes of them is charged by `tokens.charging`.

subjects   limits that all tokens of a subject share, and what is known of them
standings  rate limits and quotas as they stand, by the arithmetic of the script that charges them
"""
