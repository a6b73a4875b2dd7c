"""Columns of tables: what a column is, how its values become cells, and how they come back.

Values are Arrow arrays here, whatever the user's table is made of.
"""
