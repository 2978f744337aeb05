"""Days that are dirty, not well or damaged: sensors and a schedule that have them built or looked at again.

Doors: ``sensors.mend_sensors``, ``reseal.reseal_sensors``, ``verify.verify_schedule``, ``expire.expire_schedule``.
The factory and ``seqplat materialize`` may enter; it stands on layers.
"""
