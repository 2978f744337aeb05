"""The OpenAPI document and its page, without a request to any other host.

Doors: ``pages``, ``document.completed``; ``examples`` are made by the code that answers.
Routes and http may enter; it stands on answers.
"""
