"""One file per family of commands; cli/__init__.py has the lines of `--help`.

tokens subjects             tokens, and the limits that tokens of a subject share
sessions accounts           who is signed in, and who may sign in
audit webhooks verify       the audit log, receivers of events, and the gateway's question
about readiness             this program, and whether the service is ready

A command reads its options, asks the service through client/ and prints through terminal/. `serve` and `doctor` have
folders of their own.
"""
