"""The audit log: who changed what, and evidence of any change to the log itself.

entries       what an entry holds, and the actions it can name
log           makes entries, each with a MAC
refusals      sign-ins refused for a pause, logged once a minute
checkpoints   makes a checkpoint every second over the entries since the last one
macs          the MACs of entries and checkpoints; no I/O
verification  reads the whole log and names what does not fit
reader        entries of all shards merged, newest first

The scripts that make a change also write its entry; the streams themselves are in store/audit.py.
"""
