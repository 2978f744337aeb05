"""Whether a comparison passes: bounds that hold at every look, bands, states, and the record of who decided by what.

Doors: ``metrics`` counts, ``decide`` judges, ``record`` keeps and checks again, ``account`` prints; ``accepted`` has
the differences that somebody answers for, ``floors`` legacy's own noise, ``self_test`` asks whether the gate would
notice. Shadow's other rooms, assets and serving may enter; it stands on the comparison's counts, records and the home.
Nothing here reads a table.
"""
