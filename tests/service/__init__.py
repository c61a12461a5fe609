"""The service: what systemd and launchd are told, and what really happens on a booted system."""
