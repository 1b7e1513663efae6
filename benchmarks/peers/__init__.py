"""Glassbit beside its peers, in one run; see `python -m benchmarks.peers --help`."""
