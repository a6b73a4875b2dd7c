"""Tasks: estimators for a purpose, on attar's data."""
