"""What a person at a terminal sees and is asked.

report         what a command gives: JSON, or what a person reads
output         tables, facts, JSON, how far a long command has come; text of others made harmless
columns        how wide those of a table are
prompts        questions
new_password   one that an account is given: asked for, long enough, hashed
options        types of options: lifetimes, rates, pairs

No HTTP here: that is client/.
"""
