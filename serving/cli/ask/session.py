"""The session that a user is in, as a table."""

from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.read.sessions import current_sessions
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from serving.cli.ask.cells import cells
from serving.cli.output import console, quoted, table


def show_session(runtime: Runtime, view: str, user: str) -> None:
    """Print the open sessions of a user in ``sessions/<name>``, or the last there was.

    Raises:
        UnknownView: there is none of that name.
    """
    plan = ViewPlan.of(runtime.loaded, view)
    store = open_online_store(runtime.home, readonly=True)
    try:
        found = current_sessions(plan, plan.events_plan(runtime.loaded), store, user, clock=runtime.clock)
    finally:
        store.close()
    shown = found.sessions.drop("session_id", "user_id")
    table(f"{view} of user {user}: {shown.height} session(s)", shown.columns, cells(shown))
    if not found.is_whole:
        console.print("[yellow]it has more events than are read at most, so it began earlier than is said[/yellow]")
    for problem in found.freshness.degraded:
        console.print(f"[yellow]degraded:[/yellow] {quoted(problem)}")
