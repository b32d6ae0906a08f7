"""The commands about tokens.

show           list, show, stats, usage
issue          create, update, rotate
states         activate, deactivate, revoke: those that are named, or all that match
import_export  export and import
self_service   self, derive, end-derived: what the holder of a token may do

Each is imported when it is called: cli/__init__.py names the module of every command.
"""
