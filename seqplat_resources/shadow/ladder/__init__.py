"""Moves the users of one event type from the old pipeline to ours, in steps, each with its evidence.

Doors: ``moves.Ladder`` says which step an event type is on, and moves it; ``gate`` says what a step up rests on.
Which arm a user is in says ``shadow.routing``. Assets, the API and the command line may enter; it stands on records,
and on verdicts for what a step asks for.
"""
