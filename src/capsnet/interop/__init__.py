"""Doors to other packages, one file each: what they expect of a model, made of what this package has."""
