"""What keys and values say: names, indexes, pins, leases and epochs as they lie in Redis. Pure.

Doors: ``names.Names``, ``entries``, ``pins.Pin``.
Only the store's own modules enter.
"""
