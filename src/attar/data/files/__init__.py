"""Files of tables and arrays: read whole or in pieces, and written piece by piece."""
