"""Which events requests were answered with: appended by servers, and found again for labels.

Doors: ``write.append_answers``, ``match.AnswerMatch``, ``served.ServedReader``.
The API and training sets may enter; it stands on the lake and on training's revisions.
"""
