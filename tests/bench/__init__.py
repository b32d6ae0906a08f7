"""The benchmark: the service beside reference servers in one interleaved run, a soak, a million tokens."""
