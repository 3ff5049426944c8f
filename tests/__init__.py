"""Tests: unit (pure, fast), workflows (time-skipping server), sandbox and connectors (real HTTP and ODBC), e2e."""
