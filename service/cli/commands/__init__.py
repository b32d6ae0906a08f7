"""One file per family of commands; what `--help` lists is in cli/__init__.py.

tokens subjects             the commands about tokens, and about what those of a subject share
sessions accounts           who is signed in, and who may be
audit webhooks verify       questions and other people's services
about readiness             this program, and whether the service is ready

A command reads its options, asks the service through client/ and prints through terminal/. `serve` and `doctor`
have rooms of their own.
"""
