"""Compares users' sequences with legacy's at the end of a day, keeps what was counted, and judges days together.

Doors: ``build.compare_days`` counts days, ``window.judged_sequence`` makes a verdict, ``rehearsal`` puts defects in,
``replay`` measures noise; ``stale.every_need`` names the days of both kinds that have to be compared again.
Assets, the command line and the ladder may enter; it stands on days, legacy, verdict and the hash of ``routing``.
"""
