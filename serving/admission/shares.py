"""How much each tenant had of the work, so that turns go to who had least: start-time fair queueing.

What counts is work beside others. Who comes is put level with those at work, but for a small advance: nobody pays for
what it had while it was alone, nobody saves up turns while it is away, and one that asks for little is always ahead.
"""

from collections.abc import Iterable

# Work that a tenant may have before all that are at it: most answers take less. And what one that comes to flood the
# server may have before the others.
ADVANCE_S = 0.25
# Of more tenants than that those are forgotten that would be put level when they come. Looked for again when there are
# twice as many as were left, so that it costs a request nothing.
_MANY = 256


class Shares:
    """Seconds at work by tenant, on a clock that goes as fast as the one served. Changed by one event loop; any thread
    may read.
    """

    def __init__(self) -> None:
        self._had: dict[str, float] = {}
        self._level = 0.0  # of the tenant that had the last turn
        self._many = _MANY

    def turn(self, tenant: str) -> None:
        """It goes on."""
        self._level = max(self._level, self.of(tenant))

    def add(self, tenant: str, seconds: float) -> None:
        """It was so long at work."""
        self._had[tenant] = self.of(tenant) + seconds
        if len(self._had) > self._many:
            least = self._level - ADVANCE_S
            self._had = {each: had for each, had in self._had.items() if had > least}
            self._many = max(_MANY, 2 * len(self._had))

    def of(self, tenant: str) -> float:
        """What it had."""
        return max(self._had.get(tenant, 0.0), self._level - ADVANCE_S)

    def least(self, tenants: Iterable[str]) -> str:
        """Who of ``tenants`` had least; the first of them where several had."""
        return min(tenants, key=self.of)
