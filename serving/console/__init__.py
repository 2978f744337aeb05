"""Pages for people: what is checked and how it is, what needs somebody, and which event types move from legacy.

HTML made here, of what ``follow`` read last; it needs no script, and no other host is asked for anything.
Door: ``layer.ConsoleLayer``, with the routes in ``pages``; ``export`` writes the same as one file.
The application and the command line may enter; it stands on the answers' coding, on access and on follow.
"""
