"""A log in Kafka, through either of two clients; both translate settings and error numbers from one table.

Doors: ``python`` and ``confluent``. Only these two import a Kafka client.
Only ``log.opening`` enters.
"""
