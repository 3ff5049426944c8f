"""What happens, in order: the process descriptions.

Workflows are deterministic and read like the process they are; a support engineer should be able to follow them.

Must not live here: I/O, clocks other than `workflow.now()`, randomness, connectors.
"""
