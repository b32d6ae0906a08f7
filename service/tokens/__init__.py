"""Floor 2, the rules: what may happen to a token."""
