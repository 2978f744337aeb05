"""Tenants: the teams that own definitions and hold credentials."""

from sequence_defs.schema.base import Definition


class Tenant(Definition):
    """An owning team. ``tenant`` of a tenant is itself."""
