"""Labels made here: moments of users, what followed them, which of them are known. Reads views; writes nothing.

Door: ``labels.make``. The command line may enter; it stands on views.
"""
