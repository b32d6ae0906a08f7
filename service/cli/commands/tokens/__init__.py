"""The commands about tokens.

show             list, show, stats, usage
issue rotation   create, update, rotate
explain          why a token is accepted or refused
states           activate, deactivate, revoke
bulk_revocation  the same for all tokens that match
import_export import_parts  export and import
self_service     what the holder of a token may do
derived          derive, end-derived: narrower tokens, and their end

Each is imported when it is called: cli/__init__.py names the module of every command.
"""
