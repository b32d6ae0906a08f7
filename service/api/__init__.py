"""Floor 3, HTTP: one file per dialect. With edge/ the only place that knows a status code."""
