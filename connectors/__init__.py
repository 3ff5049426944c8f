"""How to talk to the outside systems: Sage 100 (HTTP gateway and ODBC) and Clarity (HTTP and webhooks).

A connector takes and gives the models of `mappings`, knows a system's wire format, sessions and errors, and raises
the small error tree of `connectors.errors`.

Must not live here: Temporal, business decisions, settings from the environment.
"""
