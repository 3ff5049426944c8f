"""Sage 100: the HTTP gateway writes (`gateway`), ODBC reads (`odbc`, `queries`)."""
