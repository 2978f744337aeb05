"""What people see of an asset before anything ran: keys, texts, owners, tags, columns and their lineage.

Doors: ``keys``, ``facts``, ``lineage``. Pure, from the release alone.
Every other room here may enter.
"""
