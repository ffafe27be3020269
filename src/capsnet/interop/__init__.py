"""Doors to other packages, one file each: formats that are written and read, and other people's interfaces."""
