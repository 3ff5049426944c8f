"""The outside world: a Sage 100 company and a Clarity store that behave like the real ones. `python -m sandbox`.

Here live the simulated systems, their seed and sample orders. The sandbox is stricter than the real thing.

Must not live here: anything imported from this project's other packages; it shares no code with what it tests.
"""
