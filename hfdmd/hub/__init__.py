"""Asks the Hub: what a file is at a revision, where its bytes are, which files a repo has."""
