"""Training by several processes, and work on several machines."""
