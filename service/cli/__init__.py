"""The command line: `serve` and other commands for this machine, and a client of a running service.

Each command lives in a module that is imported only when it is called, so that `--help` and `healthcheck` stay quick
however large `serve` is.

commands has what people call, client asks the service, terminal prints and asks questions, serve and doctor have
folders of their own. failure says how a command ends.
"""

import sys
from errno import ENOSPC
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn, cast

import click

from service import __version__
from service.cli.failure import Failure, WrongUsage, empty, end

# Command to its module and its line in `--help`.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Service": {
        "serve": ("serve.command", "Run the service."),
        "doctor": ("doctor.command", "Check everything that the service needs."),
        "config": ("commands.about", "Print the effective settings, secrets masked."),
        "accounts": ("commands.accounts", "Edit the accounts that may sign in."),
        "confirm-reset": ("commands.readiness", "Confirm that Redis was emptied."),
        "healthcheck": ("commands.readiness", "Ask the service whether it is ready."),
        "openapi": ("commands.about", "Print the OpenAPI document."),
        "version": ("commands.about", "Print the version."),
    },
    "Tokens": {
        "create": ("commands.tokens.issue", "Create a token and print its secret, this once."),
        "list": ("commands.tokens.show", "List tokens."),
        "show": ("commands.tokens.show", "Show a token."),
        "update": ("commands.tokens.issue", "Change a token."),
        "activate": ("commands.tokens.states", "Let tokens be accepted again."),
        "deactivate": ("commands.tokens.states", "Refuse tokens until they are activated."),
        "revoke": ("commands.tokens.states", "Revoke tokens for good."),
        "rotate": ("commands.tokens.issue", "Give a token a new secret."),
        "verify": ("commands.verify", "Ask whether a token is accepted."),
        "explain": ("commands.verify", "Explain why a token is accepted or refused."),
        "subjects": ("commands.subjects", "Set and show the limits that all tokens of a subject share."),
        "stats": ("commands.tokens.show", "Count tokens."),
        "usage": ("commands.tokens.show", "Show how often a token was used."),
        "audit": ("commands.audit", "List changes, or write all of them to a file."),
        "export": ("commands.tokens.import_export", "Write all tokens to a file, without their secrets."),
        "import": ("commands.tokens.import_export", "Import tokens of an export, or of another system."),
        "webhooks": ("commands.webhooks", "Send events to other services."),
        "derive": ("commands.tokens.issue", "Derive a narrower token from the one in TOKENS_TOKEN."),
        "end-derived": ("commands.tokens.self_service", "End the tokens derived from a token."),
        "self": ("commands.tokens.self_service", "Show, revoke or rotate the token in TOKENS_TOKEN."),
    },
    "Session": {
        "login": ("commands.sessions", "Sign in with an account."),
        "whoami": ("commands.sessions", "Show who asks, and where."),
        "logout": ("commands.sessions", "Sign out."),
        "sessions": ("commands.sessions", "List and end the sign-ins of accounts."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def main(self, *args: Any, **given: Any) -> NoReturn:
        """As in click, but with --json an error is printed as JSON."""
        as_json = "--json" in given.get("args", sys.argv)
        try:
            sys.exit(super().main(*args, **{**given, "standalone_mode": False}) or 0)
        except (click.ClickException, click.Abort) as error:
            end(error, as_json=as_json)
        except UnicodeError:
            # Printing raises none, by `main` below, and settings are checked as they are read.
            end(WrongUsage("an argument or standard input is not UTF-8"), as_json=as_json)
        except OSError as error:
            # Of standard input, standard output, or a file while it is read: each command reports its other errors
            # itself. click itself ends quietly on a closed pipe.
            empty(sys.stdout)
            why = f"cannot read or write: {error.strerror or error}"
            end(Failure("no space is left where this writes to" if error.errno == ENOSPC else why), as_json=as_json)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, with a suggestion for a mistyped name."""
        # click would suggest names of commands that were added to the group, and this group imports none before they
        # are called.
        if args[0] not in COMMANDS:
            # Imported here: nearly no start needs it, and it takes 1 % of one.
            from difflib import get_close_matches  # noqa: PLC0415

            if nearest := get_close_matches(args[0], COMMANDS, n=1):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {nearest[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"service.cli.{COMMANDS[cmd_name][0]}")
        # By the name of the command, because a function cannot be called `list` or `import`.
        return {command.name: command for command in vars(module).values() if isinstance(command, click.Command)}[
            cmd_name
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, summary) for name, (_, summary) in section.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The commands for tokens speak to a running service: at TOKENS_URL (http://127.0.0.1:8080), "
    "signed in by `login` or with a token in TOKENS_TOKEN. Exit: 0 done, 1 failed, 2 usage, "
    "3 token refused, 4 sign-in needed, 130 stopped by Ctrl-C; with --json an error is JSON, too.",
)
@click.version_option(__version__, prog_name="token-service", message="%(prog)s %(version)s")
def program() -> None:
    """Issue, validate, consume, rotate and revoke API tokens, beside one Redis."""


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A terminal may lack a character of a name, and the output after that may be a secret.
        cast(TextIOWrapper, stream).reconfigure(errors="backslashreplace")
    try:
        program(prog_name="token-service")
    except SystemExit as ended:
        if ended.code:
            empty(sys.stdout)
        raise
    finally:
        empty(sys.stderr)
