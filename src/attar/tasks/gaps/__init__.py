"""Missing cells: Imputer, and what it looks up and expects."""
