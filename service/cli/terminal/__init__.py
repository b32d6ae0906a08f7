"""What a person at a terminal sees and is asked.

report         the result of a command: JSON, or text for a person
output         tables, facts, JSON and progress; makes untrusted text harmless
columns        widths of a table's columns
prompts        questions
new_password   asks for an account's new password, checks its length, hashes it
options        types of options: lifetimes, rates, pairs

No HTTP here: that is in client/.
"""
