"""`python -m service` and the command `token-service`, which Ctrl-C ends in a line, also while it still imports."""

import os
import signal
import sys


def open_what_is_closed() -> None:
    """Let a standard stream that the caller closed (`>&-`) be empty: a connection must not take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open to the end


def main() -> None:
    """The entry point of `token-service`."""
    open_what_is_closed()
    if sys.argv[1:2] == ["serve"]:
        # Before all that is imported: a reload while it starts must not end it, and is done as soon as it can be.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        # click says the same of a Ctrl-C, but it has to be imported first.
        from service.cli import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        sys.exit("Aborted!")


if __name__ == "__main__":
    main()
