"""What limits are counted by.

subjects  the limits that all tokens of a subject share, and how every process hears of changes at once
counting  what a limit is counted under
windows  the hours, days and months in which a quota is counted, in any time zone
"""
