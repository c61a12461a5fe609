"""The service: unit files and plists, the manager protocols, and a booted system."""
