"""Columns of tables: encoded as cells, and decoded from them.

Values are Arrow arrays here, whatever the library of the user's table.
"""
