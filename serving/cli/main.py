"""The root command. Groups load when they are used, so that help and mistakes answer at once.

>>> from click.testing import CliRunner
>>> CliRunner().invoke(root, ["publish", "--chanel", "dev"]).output.splitlines()[-1]
"Error: No such option '--chanel'. (Did you mean one of: '--channel', '--help'?)"
"""

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click

from seqplat_resources.settings_file import apply_settings

# Command -> module that defines it and its one line of help; the module is imported when the command runs.
COMMANDS = {
    "init": ("projects.init", "Make a project of one's own, which runs as it is."),
    "new": ("projects.new", "Write a definition from a sample: event-type, source, enrichment, sequence."),
    "import": ("importing.command", "Draft definitions from those of Feast or Chronon."),
    "test": ("projects.trials", "Run cases of definitions: rows in, events or a sequence out."),
    "check": ("releases.definitions", "Analyse the definitions; print every finding."),
    "compile": ("releases.definitions", "Compile the definitions to a release document."),
    "plan": ("releases.planning", "Say what a change of definitions does, before it does it."),
    "apply": ("releases.planning", "Carry out a plan: publish, then build its days."),
    "publish": ("releases.definitions", "Check, compile, store a release and point a channel at it."),
    "releases": ("releases.channels", "Show what a channel points at, and its history."),
    "rollback": ("releases.channels", "Point a channel back at the release before."),
    "materialize": ("days.materialize", "Build days of assets through Dagster."),
    "backfill": ("days.backfill", "Build many days that are not good, newest first, with a plan and a bar."),
    "stream": ("servers.stream", "Read the topics of the release into the now view."),
    "send": ("servers.stream", "Append messages to the topic of a source."),
    "lag": ("storage.online", "Show how far the streams are."),
    "epochs": ("storage.online", "Show published views, and go back to one."),
    "ingest": ("days.late", "Import raw files that the log never got."),
    "dirty": ("days.late", "Show buckets that late messages belong to."),
    "reseal": ("days.late", "Build dirty buckets again."),
    "checks": ("days.checks", "Show what checks found, and what needs somebody."),
    "shadow": ("migration.shadow", "Judge what differs from the pipeline before; accept differences."),
    "cutover": ("migration.cutover", "Move users from the pipeline before to ours, step by step."),
    "get": ("ask.get", "Print one user's sequence."),
    "labels": ("training.made", "Make labels of what users did after moments of theirs."),
    "training-set": ("training.sets", "Join labels with a sequence, each as of its time, into Parquet."),
    "export": ("training.everybody", "Write all users' sequences as of a time into Parquet."),
    "skew": ("training.skew", "Compare recorded answers with what training sets are made of."),
    "pin": ("training.pins", "Keep the tables' versions that a training set was made of."),
    "unpin": ("training.pins", "Let go what a pin keeps."),
    "pins": ("training.pins", "Show pins with owner, size and end."),
    "explain": ("ask.explain", "Say why an event is, or is not, in a sequence."),
    "sql": ("ask.sql", "Ask the views of events, and the lake's tables, in SQL."),
    "tables": ("storage.lake", "Show the lake's tables."),
    "rejects": ("storage.lake", "Show refused rows and why."),
    "compact": ("storage.lake", "Merge small files of a table."),
    "verify": ("storage.verify", "Compare the lake's files with their checksums."),
    "vacuum": ("storage.lake", "Delete files no version needs any more."),
    "expire": ("storage.expire", "Delete days that are kept no longer."),
    "keys": ("access.keys", "Create, show, rotate, revoke API keys, and grant sequences to them."),
    "serve": ("servers.serve", "Run the sequence API, and the console for people."),
    "console": ("servers.console", "Write the console's page as one file."),
    "code-server": ("servers.code_server", "Serve the code location to Dagster, on the channel's release."),
    "dev": ("servers.dev", "Run the Dagster UI and the API together."),
    "doctor": ("doctor.command", "Look at a deployment part by part, and say what to do."),
    "demo": ("demo", "Load the demo from definitions to an answered sequence."),
}


# Where a command's name is Python's.
_FUNCTIONS = {"compile": "compile_", "import": "import_", "apply": "apply_"}

# What other tools call ours.
_ELSEWHERE = {
    "build": "materialize",
    "deploy": "publish",
    "lint": "check",
    "validate": "check",
    "start": "dev",
    "run": "dev",
    "query": "sql",
    "select": "sql",
    "why": "explain",
    "status": "checks",
}


class _Lazy(click.Group):
    """A group whose commands are imported on use; their one-line help is known without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """With the command that was probably meant: click looks for near names only among those that are loaded."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name.lower(), [*COMMANDS, *_ELSEWHERE], n=2)
            meant = " or ".join(f"seqplat {_ELSEWHERE.get(each, each)}" for each in near)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean: {meant}?" if near else ""))
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(
            import_module(f"serving.cli.{COMMANDS[cmd_name][0]}"),
            _FUNCTIONS.get(cmd_name, cmd_name.replace("-", "_")),
        )
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("seqplat"), prog_name="seqplat")
def root() -> None:
    """User-event sequences, defined once and run everywhere.

    SEQPLAT_HOME is where data lives (default .seqplat), SEQPLAT_DEFINITIONS where definitions are (a package, file or
    folder), SEQPLAT_SOURCES where relative source files are, SEQPLAT_CHANNEL which release runs (default dev). They are
    read from the environment, and then from seqplat.env in the working directory.
    """
    apply_settings(os.environ, Path.cwd())


def main() -> None:
    """Console entry point: what has a sentence prints it and exits 1, mistakes of the code keep their traceback."""
    try:
        root(standalone_mode=True)
    except BaseException as error:  # a panic of Polars is no Exception
        # Imported late: it is not needed for help.
        from seqplat_resources.foreign_errors import in_our_words

        if isinstance(error, SystemExit | KeyboardInterrupt) or (told := in_our_words(error)) is None:
            raise
        click.secho(f"error: {told}", fg="red", err=True)
        sys.exit(1)
