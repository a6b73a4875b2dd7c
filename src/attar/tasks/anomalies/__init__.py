"""Odd rows and odd moments: AnomalyDetector, what it learns of data of each kind, and p-values."""
