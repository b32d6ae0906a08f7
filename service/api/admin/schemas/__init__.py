"""The bodies of /api/admin on the wire, and how records become them.

tokens         managed tokens: create, change, list, filter
creation       what a token is created with
limits         rate limits, as they are given and as they stand
import_export imported  the lines of an export and an import; those of other systems
csv_export     the audit log as CSV or lines of JSON
audit          audit entries, and the events that webhooks send of them
webhooks       receivers of events, and what became of their messages
explain        the question why a token is refused, and its answer

Structs decode with unknown fields refused. No operations here, and no decisions: see the files above.
"""
