"""Lossless compression: exact values, exact arithmetic, an entropy coder, and the file."""
