"""Definitions to a release: find them, type their SQL, link, order and hash them.

Doors: ``discover.discover``, ``lower.lower``, ``sql.expression``. It stands on schema and language.
Analysis and the packages above may enter.

>>> import polars as pl
>>> from sequence_defs.compiler.sql import expression
>>> orders = pl.DataFrame({"quantity": [2, None], "price": [1.5, 2.0]})
>>> orders.select(total=expression("quantity * price"))["total"].to_list()
[3.0, None]
"""
