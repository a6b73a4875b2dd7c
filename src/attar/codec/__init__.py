"""Data as bytes and back, exactly."""
