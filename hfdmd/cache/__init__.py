"""Places files: in the Hub's standard cache and in local folders. Blocking code for threads, without network access."""
