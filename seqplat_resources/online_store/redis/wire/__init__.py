"""Commands to servers and their answers back, in time; what servers refuse, in our words.

Door: ``link.Link``. Knows no key of the store.
Only the store's own modules enter.
"""
