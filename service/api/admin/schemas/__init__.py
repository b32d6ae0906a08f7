"""The bodies of /api/admin on the wire that several files share, and how records become them.

tokens         managed tokens: create, change, list, filter
creation       what a token is created with, each term in its form
limits         rate limits, as they are given and as they stand
import_export imported  the lines of an export and an import; those of other systems
cursors        where a list or a change of many goes on
audit          audit entries, and the events that webhooks send of them

Structs decode with unknown fields refused. No operations here, and no decisions: see the files above.
"""
