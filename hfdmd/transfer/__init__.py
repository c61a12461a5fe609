"""Moving the bytes of one file: planned, written, synced, claimed and verified. `Engine` is what others use."""
