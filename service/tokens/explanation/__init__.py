"""Explaining: why a secret is accepted or refused, check by check. Nothing is spent, charged or counted.

explainer  finds the record of a secret or id and asks every check in the order of a validation
checks     what one check answers, each a function of the record and the question
form       the form of a secret, and which typing error may have spoilt it

The verdict itself is the authority's own; the checks say where it comes from.
"""
