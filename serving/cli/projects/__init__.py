"""A project of one's own: ``init`` makes it, ``new`` adds a definition made from a sample, ``test`` tries them.

Door: one function a command. ``templates/`` holds the files of new projects, in which ``@names@`` are filled in.
Only ``main`` enters.
"""
