"""Definitions to a release and a channel: ``check``, ``compile``, ``publish``, ``releases``, ``rollback``.

Door: one function a command.
Only ``main`` and the demo enter.
"""
