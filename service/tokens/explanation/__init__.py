"""Explain: why a secret is accepted or refused, check by check. Nothing is spent, charged or counted.

explainer  finds the record of a secret or id and makes every check in the order of a validation
checks     the answer of each check, a function of the record and the question
form       the form of a secret, and the typing error that may have caused it

The verdict is the authority's own; the checks show its reason.
"""
