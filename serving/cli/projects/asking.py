"""Questions to a person, each with a flag that answers it; nobody is asked where nobody can answer."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from seqplat_resources.shown_text import plain


@dataclass(frozen=True)
class Asker:
    """``is_asking``: a person is there and did not say ``--yes``."""

    is_asking: bool

    @classmethod
    def of(cls, yes: bool) -> "Asker":
        return cls(not yes and sys.stdin.isatty() and sys.stdout.isatty())

    def answer(self, question: str, option: str, default: str | None, choices: Sequence[str] = ()) -> str:
        """What is said, or the default where nobody is asked.

        Raises:
            click.UsageError: nobody is asked and there is no default; the message names the option.
        """
        if not self.is_asking:
            if default is None:
                known = f": {', '.join(choices[:12])}" if choices else ""
                raise click.UsageError(plain(f"{question}? The sample does not tell; say {option}{known}"))
            return default
        if not choices:
            return str(click.prompt(plain(question), default=default or None)).strip()
        for number, choice in enumerate(choices, 1):
            click.echo(plain(f"    {number}  {choice}"))
        first = choices.index(default) + 1 if default in choices else None
        said: int = click.prompt(plain(f"{question}?"), default=first, type=click.IntRange(1, len(choices)))
        return choices[said - 1]

    def agrees(self, question: str) -> bool:
        """Yes where nobody is asked."""
        return not self.is_asking or click.confirm(plain(question), default=True)
