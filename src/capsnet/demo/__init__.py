"""The page on which a person draws a digit and looks into the capsules."""

from capsnet.demo.gallery import Gallery
from capsnet.demo.look import Look, look, redraw

__all__ = ["Gallery", "Look", "look", "redraw"]
