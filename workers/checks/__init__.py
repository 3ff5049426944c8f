"""What `python -m workers check` looks at, a module for each place: this machine, Sage, Clarity, Temporal.

Must not live here: anything that writes, anywhere.
"""
