"""Transforms that vary training images, one object each."""
