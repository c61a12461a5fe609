"""Asks the Hub: the source of a file at a revision, the URL of its bytes, the list of a repo's files."""
