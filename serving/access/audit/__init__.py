"""Who read what: a line a request, written away from the request.

Doors: ``log.AccessLog``, ``files.destination``, ``readers.readers_of``.
Access and the command line may enter; it knows no request.
"""
