"""Labels made here: moments of users, what followed them, which of them are known; writes nothing.

Door: ``labels.make``.
May be entered by the command line; stands on the views of ``analysis``.
"""
