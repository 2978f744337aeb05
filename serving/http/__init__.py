"""The application and its process: layers around the framework, workers, log lines.

Doors: ``app.create_app``, ``worker.application``.
Only the command that serves enters; it stands on every room of the API.
"""
