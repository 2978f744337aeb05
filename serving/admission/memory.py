"""Memory that callers can make a process hold: shared by tenants, so that one never takes what another needs."""

from collections import Counter

from serving.api.refusals import Overloaded


class TenantMemory:
    """``size_bytes`` of memory for what callers send, or do not take. Used by one event loop.

    A tenant may hold as much as is free after it, so one alone gets half, two a third each, and there is always some
    for the next. No tenant has to be known beforehand, and nothing that was given is taken back. With ``one_each`` a
    tenant that holds nothing may take one piece of any size.
    """

    def __init__(self, size_bytes: int, *, one_each: bool = False) -> None:
        self._size, self._one_each = size_bytes, one_each
        self._of: Counter[str] = Counter()
        self.taken = 0

    def take(self, tenant: str, size: int) -> None:
        """``give`` must follow.

        Raises:
            Overloaded: the tenant would hold more than it leaves to others.
        """
        held = self._of.get(tenant, 0)
        if held + size > self._size - self.taken - size and not (self._one_each and not held):
            raise Overloaded("no_room")
        self._of[tenant] = held + size
        self.taken += size

    def give(self, tenant: str, size: int) -> None:
        """Back what was taken."""
        self.taken -= size
        self._of[tenant] -= size
        if not self._of[tenant]:
            del self._of[tenant]
