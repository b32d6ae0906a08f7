"""`python -m service` and the command `token-service`, which a signal ends in a line, also while it still imports."""

import gc
import os
import signal
import sys
from contextlib import suppress

# More than a command makes before it begins: most are parts of modules, which stay.
_OBJECTS_BEFORE_COLLECTION = 50_000


def open_what_is_closed() -> None:
    """Let a standard stream that the caller closed (`>&-`) be empty: a connection must not take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open to the end


def prepare_for_signals() -> list[int]:
    """Let one that ends a command undo what is half done, and none end a service that only starts.

    Those that came stand in the list.
    """
    came: list[int] = []
    if sys.argv[1:2] == ["serve"]:
        # Before all that is imported: a reload while it starts must not end it, and is done as soon as it can be.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        return came

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What `nohup` has it pass over stays so.
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, interrupt)
    return came


def main() -> None:
    open_what_is_closed()
    came = prepare_for_signals()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    try:
        # click says the same of a Ctrl-C, but it has to be imported first.
        from service.cli import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        with suppress(OSError):
            sys.stderr.write("Aborted!\n")
        end_by(came[0] if came else signal.SIGINT)
    except SystemExit as ended:
        if came and ended.code:
            end_by(came[0])
        raise


def end_by(number: int) -> None:
    """As if it had never been caught: a shell goes on with its loop after a command that ends by itself."""
    signal.signal(number, signal.SIG_DFL)
    # A signal leaves unwritten what Python still buffers: the rest of a line, where a pipe was full.
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    signal.raise_signal(number)


if __name__ == "__main__":
    main()
