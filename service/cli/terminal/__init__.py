"""What a person at a terminal sees and is asked.

report    what a command gives: JSON, or what a person reads
output    tables, facts, JSON; text of others made harmless
progress  how far a long command has come
prompts   questions; a password chosen and checked
options   types of options: lifetimes, rates, pairs
outcome   the result of a change of many tokens

No HTTP here: that is client/.
"""
