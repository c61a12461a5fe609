"""Definitions shared by daemon and clients. Imports only the standard library and msgspec."""
