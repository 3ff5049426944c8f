"""A Sage 100 company: SQLite with Sage's tables and keys, a gateway that enforces what Sage enforces, a warehouse.

`create_app(Sage100Settings(...))` is the gateway; ODBC readers open the same file read-only.
"""

from sandbox.sage100.gateway import Sage100Settings, create_app

__all__ = ["Sage100Settings", "create_app"]
