"""Long tests that kill things: `make chaos`. Not part of `make test`."""
