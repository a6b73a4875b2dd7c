"""Folders of pictures: read, brought to one size and one kind of pixel, and written."""
