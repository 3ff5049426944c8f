"""Clarity eCommerce: its HTTP API (`client`) and the signature of its webhooks (`webhooks`)."""
