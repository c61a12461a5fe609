"""The part file: buffers, writes, syncs, hashes and reserved space."""
