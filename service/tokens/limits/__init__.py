"""Limits: how much of them is left. What a request takes of them is charged by `tokens.charging`.

shares     what each of several requests is told that were charged together
standings  rate limits and quotas as they stand, by the arithmetic of the script that charges them
subjects   limits that all tokens of a subject share, and what is known of them
"""
