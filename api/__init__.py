"""The thin HTTP edge: Clarity's webhooks, order state and release, health. `python -m api`.

A route verifies, parses and hands over to Temporal; the durable accept is the workflow's start.

Must not live here: business rules, calls to Sage or Clarity, state.
"""
