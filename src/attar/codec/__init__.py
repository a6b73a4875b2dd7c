"""Lossless compression: exact arithmetic, an entropy coder, and the compressed file."""
