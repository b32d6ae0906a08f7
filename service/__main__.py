"""`python -m service` and the command `token-service`, which a signal ends without a traceback, even during imports."""

import gc
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

# More objects than a command makes before it begins; most are parts of modules and stay.
_OBJECTS_BEFORE_COLLECTION = 50_000


def open_what_is_closed() -> None:
    """Open closed standard streams (`>&-`) on the null device, so that no connection gets their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open to the end


def prepare_for_signals() -> list[int]:
    """Let a signal end a command with its cleanup; hold SIGHUP back while a service starts.

    Returns a list to which each signal that comes is added.
    """
    came: list[int] = []
    if sys.argv[1:2] == ["serve"]:
        # Before all other imports: a reload during the start must not end the process, and runs as soon as it can.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        return came

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP, and that must stay.
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, interrupt)
    return came


def main() -> None:
    open_what_is_closed()
    came = prepare_for_signals()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    try:
        # click prints the same for Ctrl-C, but it has to be imported first.
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


def end_by(number: int) -> NoReturn:
    """End by the signal as if it had not been caught: a shell's loop would go on after a command that just exits."""
    signal.signal(number, signal.SIG_DFL)
    # A signal discards what Python still buffers, such as the rest of a line when a pipe was full.
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    signal.raise_signal(number)
    # The kernel spares the first process of a container.
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
