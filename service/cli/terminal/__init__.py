"""What a person at a terminal sees and is asked.

report    what a command gives: JSON, or what a person reads
output    tables, facts, JSON, how far a long command has come; text of others made harmless
prompts   questions; a password chosen and checked
options   types of options: lifetimes, rates, pairs

No HTTP here: that is client/.
"""
