"""The now: micro-batches of a log through the engine, visible online first, then kept in the lake."""
