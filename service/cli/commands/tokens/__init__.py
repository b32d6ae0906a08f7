"""The commands about tokens.

show           list, show, stats, usage
issue          create, derive, update, rotate
states         activate, deactivate, revoke: named tokens, or all that match
import_export  export and import
import_file    reads a file to import, in parts of one request each
self_service   self, end-derived: other commands for the holder of a token

Each module is imported when its command is called: cli/__init__.py names the module of every command.
"""
