"""The processes: settings, the one Temporal plugin, telemetry, schedules, workers and the demo supervisor.

`python -m workers` runs all roles; `--role orders|sage|clarity` splits them; `python -m workers demo` is `make run`.

Must not live here: business rules, SQL, HTTP to Sage or Clarity.
"""
