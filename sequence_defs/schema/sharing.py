"""Tenants, and what one lets others take: said by the owner, in the definition that is taken."""

from pydantic import Field

from sequence_defs.schema.base import Definition, Name
from sequence_defs.schema.columns import Column


class Tenant(Definition):
    """An owning team. ``tenant`` of a tenant is itself."""


class Shareable(Definition):
    """A definition that others are made from. Only its own tenant may take it, and those of ``shared_with``.

    What is shared are its columns without personal data. A column that says ``shared_with`` itself is shared with just
    those, personal data or not, whatever the definition says.
    """

    shared_with: tuple[Name, ...] = Field(default=())

    def is_open_to(self, tenant: str) -> bool:
        """Whether ``tenant`` may make anything from it, if only from some of its columns."""
        columns: tuple[Column, ...] = getattr(self, "columns", ())
        return self._is_given(tenant) or any(tenant in (column.shared_with or ()) for column in columns)

    def gives(self, column: Column, to: str) -> bool:
        """Whether tenant ``to`` may have ``column``, which is one of its own."""
        if self.tenant == to or column.shared_with is None:
            return self.tenant == to or (self._is_given(to) and not column.pii)
        return to in column.shared_with

    def passes_on(self, origin: "Shareable", column: Column, to: str) -> bool:
        """Whether tenant ``to`` may have ``column`` of ``origin``, which this definition has attached or is itself.

        Sharing an event type shares what its owner attached to it; what another tenant lent it stays that tenant's.
        """
        if self.tenant == to:
            return True
        if origin.tenant == self.tenant:
            return to in column.shared_with if column.shared_with is not None else self._is_given(to) and not column.pii
        return self._is_given(to) and origin.gives(column, to)

    def _is_given(self, tenant: str) -> bool:
        return tenant == self.tenant or tenant in self.shared_with
