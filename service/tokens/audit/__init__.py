"""The audit log: who changed what, and proof that nobody changed the log.

entries       what an entry holds, and what it can say was done
log           makes entries, each with a MAC
refusals      paused sign-ins, told a minute at a time
checkpoints   every second a checkpoint over the entries since the last one
macs          the MACs of entries and checkpoints; no I/O
verification  walks the log and names what does not fit
reader        entries of all shards merged, newest first

Entries are written by the scripts that make the change; the streams themselves are in store/audit.py.
"""
