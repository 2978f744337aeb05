"""The only compare-and-set: numbered records, and leases with fencing tokens that stand on them.

Doors: ``log.RecordLog``, and ``archive.ArchivedLog`` where old records are still asked for; ``lease.hold``;
``process`` says whether a record's process has ended.
Release, lake, stream, the API's keys and the sensors may enter; it stands on the home.
"""
