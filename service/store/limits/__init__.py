"""What limits are counted by. Knows no key name and asks nothing.

windows  the hours, days and months in which a quota is counted, in any time zone
"""
