"""What a file, a topic or a URL seems to hold: looked at in a few places, of any size, and what may be made of it.

Doors: ``pieces.sample_of`` reads, ``layout.laid_out`` says how it is written, ``profile.Profile`` what is in it,
``proposal.Proposal`` what can be defined, ``preview.previewed`` what the engine then makes of it. Types, values and
rows are judged by ``values``, ``sources`` and ``engine``; here is only what is guessed. The command line enters.
"""
