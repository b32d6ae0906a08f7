"""How limits are stored and counted.

subjects  the limits that all tokens of a subject share, and how every process learns of changes at once
counting  the key and the parameters by which a limit is counted
windows  the hours, days and months in which a quota is counted, in any time zone
"""
