"""Many commands down one connection and their answers back. Time limits are those of ``deadline``."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.exceptions import NoScriptError, ResponseError

from seqplat_resources.online_store.redis.wire.script import Script

# A command's words, its name first.
Command: TypeAlias = tuple[Any, ...]
# A pool and a connection of the client library, which says nothing of their types.
Pool: TypeAlias = Any
Connection: TypeAlias = Any


def exchange(pool: Pool, commands: Sequence[Command]) -> list[Any]:
    """Send all, then read an answer for each; a refusal is an answer, as the library's exception.

    Raises:
        redis.ConnectionError, redis.TimeoutError: how many commands were executed is not known.
    """
    connection = pool.get_connection()
    try:
        send(connection, commands)
        answers = receive(connection, len(commands))
    except BaseException:
        connection.disconnect()  # there may be answers on it that nobody has read
        raise
    finally:
        pool.release(connection)
    return with_scripts(pool, commands, answers)


def send(connection: Connection, commands: Sequence[Command]) -> None:
    connection.send_packed_command(connection.pack_commands(commands))


def receive(connection: Connection, count: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(count):
        try:
            found.append(connection.read_response(disconnect_on_error=False))
        except ResponseError as error:
            found.append(error)
    return found


def with_scripts(pool: Pool, commands: Sequence[Command], answers: list[Any]) -> list[Any]:
    """Run again what a server could not because it does not know the script: from then on it does."""
    unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        texts = {commands[at][1]: Script.by_sha[commands[at][1]].text for at in unknown}
        exchange(pool, [("SCRIPT", "LOAD", text) for text in texts.values()])
        again = exchange(pool, [commands[at] for at in unknown])
        for at, answer in zip(unknown, again, strict=True):
            answers[at] = answer
    return answers
