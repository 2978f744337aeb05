"""Tables for people who ask: views of a release's events, SQL over them and over the stored tables; writes no table.

Doors: ``views.views``, ``sql.query``; ``vectors.decoded`` for who reads the tables with tools of their own.
Training may enter, and the command line; it stands on batch's list of tables.
"""
