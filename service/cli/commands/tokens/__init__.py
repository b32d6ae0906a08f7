"""The commands about tokens.

show           list, show, stats, usage
issue          create, derive, update, rotate
states         activate, deactivate, revoke: those that are named, or all that match
import_export  export and import
import_file    what import reads, in parts that a request takes
self_service   self, end-derived: what else the holder of a token may do by it

Each is imported when it is called: cli/__init__.py names the module of every command.
"""
