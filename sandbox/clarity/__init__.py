"""A Clarity eCommerce store: orders, shipments and customers over HTTP, and signed webhooks with retries.

`create_app(ClaritySettings(...))` is the store; its state is a SQLite file, so that a restart resumes.
"""

from sandbox.clarity.app import create_app
from sandbox.clarity.side import WEBHOOK_SECRET, ClaritySettings, Dialect

__all__ = ["WEBHOOK_SECRET", "ClaritySettings", "Dialect", "create_app"]
