"""``python -m serving.cli``: the ``seqplat`` command where its script is not on the path."""

from serving.cli.main import main

main()
