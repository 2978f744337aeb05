"""Events to blocks: each stream of a bucket becomes the section that takes the fewest bytes.

Door: ``bucket.encode_bucket``.
Only ``codec`` hands it on; it knows nothing of decoding.
"""
