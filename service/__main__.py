"""`python -m service` and the command `token-service`, which Ctrl-C ends in a line, also while it still imports."""

import sys


def main() -> None:
    """The entry point of `token-service`."""
    try:
        # click says the same of a Ctrl-C, but it has to be imported first.
        from service.cli import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        sys.exit("Aborted!")


if __name__ == "__main__":
    main()
