"""Places files: the Hub's standard cache and local folders. Blocking code for threads; it never uses the network."""
