"""What the processes agree on: ids, queues, schedules, search attributes, messages, retry policies.

Every fact stands once. API, workers and supervisor are separate processes, often of different versions, so what
stands here is a wire contract: additive changes only.

Must not live here: I/O, settings, business rules.
"""
