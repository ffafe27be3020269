"""What routings that fit Gaussians to votes ask of them: sums over children, and sums over the entries of a pose."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from capsnet.capsules import Capsules
from capsnet.functional.precision import widen
from capsnet.functional.votes import dense_votes


@runtime_checkable
class Squares(Protocol):
    """Squared distances `b j d i` of votes from means."""

    def over_children(self, weights: Float[Tensor, "b j i"]) -> Float[Tensor, "b j d"]:
        """Sum over children, each weighed."""

    def over_entries(self, weights: Float[Tensor, "b j d"]) -> Float[Tensor, "b j i"]:
        """Sum over the entries of a vote, each weighed."""


@runtime_checkable
class Votes(Protocol):
    """Votes `b j d i`, which an implementation need not store."""

    pose_dim: int

    def over_children(self, weights: Float[Tensor, "b j i"]) -> Float[Tensor, "b j d"]:
        """Sum over children, each weighed."""

    def squares(self, means: Float[Tensor, "b j d"]) -> Squares:
        """The squared distances of the votes from a mean."""


class VoteTensor:
    """Votes that are stored.

    Children come last: both sums are then products of matrices with rows and columns that lie in memory as they are.

    Args:
        values: the votes.

    Shapes:
        values `b j d i`.
    """

    def __init__(self, values: Float[Tensor, "b j d i"]) -> None:
        self.values, self.pose_dim = values, values.shape[2]

    def over_children(self, weights: Float[Tensor, "b j i"]) -> Float[Tensor, "b j d"]:
        """Sum over children, each weighed."""
        return (self.values @ weights.contiguous()[:, :, None].mT)[..., 0]

    def over_entries(self, weights: Float[Tensor, "b j d"]) -> Float[Tensor, "b j i"]:
        """Sum over the entries of a vote, each weighed."""
        return (weights[:, :, None] @ self.values)[:, :, 0]

    def squares(self, means: Float[Tensor, "b j d"]) -> "VoteTensor":
        """The squared distances of the votes from a mean."""
        return VoteTensor((self.values - means[..., None]).square())


Infer = Callable[..., tuple[Tensor, ...]]


def vote_tensor(votes: Float[Tensor, "b i j d"]) -> VoteTensor:
    """Store votes with children last, in float32 at least."""
    return VoteTensor(widen(votes).permute(0, 2, 3, 1).contiguous())


def infer_mixture(
    infer: Infer,
    children: Capsules,
    weight: Float[Tensor, "i c j d"],
    shared: Sequence[Tensor],
    *,
    offsets: Float[Tensor, "p i 1 rd"] | None = None,
    places: int = 1,
) -> tuple[Tensor, ...]:
    """Call `infer(votes, activations, *shared)` on the votes of `children`.

    Args:
        infer: maps votes, the children's activations and `shared` to tensors with a row for each row of children; the
            `places` rows of one sample may depend on one another, those of different samples may not. Of each
            `squares` it calls `over_children` once, before `over_entries`.
        children: poses and activations.
        weight: transformation matrices.
        shared: tensors that all samples share, such as parameters.
        offsets: what is added to the votes of each place.
        places: rows of children that belong to one sample.

    Shapes:
        poses `b i (r c)`, activations `b i`, weight `i c j d`, offsets `p i 1 (r d)` for `p` places.
    """
    return infer(vote_tensor(dense_votes(children.poses, weight, offsets)), widen(children.activations), *shared)
