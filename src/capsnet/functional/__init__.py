"""Pure tensor mathematics."""

from capsnet.functional.squash import squash as squash
from capsnet.functional.votes import dense_votes as dense_votes

__all__ = ["dense_votes", "squash"]
