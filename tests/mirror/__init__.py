"""Tests against a second, independent Hub: the mirror olah in front of the test Hub."""
