"""Pure tensor mathematics."""

from capsnet.functional.precision import widen as widen
from capsnet.functional.squash import exponential_squash as exponential_squash
from capsnet.functional.squash import squash as squash
from capsnet.functional.votes import dense_votes as dense_votes
from capsnet.functional.windows import Windows as Windows
from capsnet.functional.windows import window_children as window_children

__all__ = ["Windows", "dense_votes", "exponential_squash", "squash", "widen", "window_children"]
