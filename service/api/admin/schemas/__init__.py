"""The bodies of /api/admin on the wire that several files share, and how records become them.

tokens         managed tokens: create, change, list, filter
creation       what a token is created with, and the form of each term
limits         rate limits, as a client gives them and as they stand
import_export imported  the lines of an export and an import; lines from other systems
cursors        where a list, or a change of many tokens, continues
audit          audit entries, and the webhook events made from them

Structs refuse unknown fields. No operations and no decisions here: see the files above.
"""
