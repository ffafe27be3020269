"""A web page to draw a digit and inspect the capsules of a network."""

from capsnet.demo.gallery import Gallery
from capsnet.demo.look import Look, look, redraw

__all__ = ["Gallery", "Look", "look", "redraw"]
