"""Who was answered with whose events while users were divided: appended by servers, read by the experiment.

Doors: ``write.append_exposures``, ``first.Exposures``.
The API and the experiment may enter; it stands on the lake and on the ladder.
"""
