"""The API of a real daemon process: every call, every answer, streams, access rules, attacks, figures' functions."""
