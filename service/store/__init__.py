"""Floor 1, Redis: the only place that knows a key name or a Redis command."""
