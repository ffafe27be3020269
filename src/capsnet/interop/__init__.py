"""Doors to other libraries and file formats: one file each, loaded when it is used."""
