"""The ``seqplat`` command."""
