"""Lossless compression: from data to bytes, and back."""
