"""Tables for people who ask: views of a release's events, SQL over them and over the stored tables; writes no table.

Doors: ``views.views``, ``sql.query``; ``vectors.decoded`` for who reads the tables with tools of their own.
May be entered by training and the command line; stands on batch's list of tables.
"""
