"""FOR WHOM: the sequence API, its Python client, and the ``seqplat`` command.

On this level stand the settings alone.
Nobody enters but people; rooms import in the order that the import contracts say.
"""
