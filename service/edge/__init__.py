"""Floor 4, the edge: uvicorn's protocol with limits, and the straight path for /validate."""
