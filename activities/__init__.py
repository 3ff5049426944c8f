"""The steps of the workflows, one class per system.

An activity is thin: it calls a connector or a mapping and turns the connectors' error tree into Temporal's,
once, in `activities.errors`. Starting and signalling workflows happens by name.

Must not live here: SQL, HTTP, business rules, anything that must survive between two calls.
"""
