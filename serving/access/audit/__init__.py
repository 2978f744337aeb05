"""Who read what: a line a request, written away from the request.

Doors: ``log.AccessLog``, ``files.destination``.
Access and the command line may enter; it knows no request.
"""
