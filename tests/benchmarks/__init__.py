"""Side-by-side measurements of hfdmd and its peers on one machine. `python -m tests.benchmarks --help`."""
