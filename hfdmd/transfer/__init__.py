"""Fetches the bytes of one file: planned, written, synced, checkpointed and verified. `Engine` is the entry point."""
