"""What both sides of the API agree on. Imports only the standard library and msgspec."""
