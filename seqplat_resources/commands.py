"""Commands of ours that are suggested to people, so that a shell takes them as they are meant."""

import shlex


def command(name: str, *arguments: str, **options: str) -> str:
    """``seqplat <name>`` with arguments and ``--options``. Arguments of any text stay what they are."""
    given = [word for option, value in options.items() for word in (f"--{option}", value)]
    if any(argument.startswith("-") for argument in arguments):
        return shlex.join(["seqplat", name, *given, "--", *arguments])
    return shlex.join(["seqplat", name, *arguments, *given])
