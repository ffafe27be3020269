"""Votes of a few samples in memory that is used again, and their gradient, added up where it lies."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from capsnet.functional.votes import matrix_votes, matrix_votes_backward


class ScratchVotes:
    """Votes `b j d i` of a few samples, for as long as the next ones are not filled in.

    Args:
        weight: transformation matrices.
        offsets: what is added to the votes of each place.
        rows: rows that there is room for.
        backward: make room for a gradient.

    Shapes:
        weight `i c j d`, offsets `p i 1 (r d)`.
    """

    def __init__(
        self,
        weight: Float[Tensor, "i c j d"],
        offsets: Float[Tensor, "p i 1 rd"] | None,
        rows: int,
        *,
        backward: bool = False,
    ) -> None:
        self.weight, self.rows, self._backward = weight, rows, backward
        self._offsets = None if offsets is None else offsets.permute(0, 2, 3, 1).contiguous()  # p 1 d i
        self._room: list[Tensor] = []
        self._given: list[ScratchSquares] = []

    def fill(self, poses: Float[Tensor, "b i rc"]) -> None:
        """Make the votes of children."""
        children, width, parents, columns = self.weight.shape
        self._children = poses.reshape(*poses.shape[:2], -1, width)  # b i r c
        shape = (parents, self._children.shape[2], columns, children)
        if not self._room:
            self._room = [poses.new_empty(self.rows, *shape) for _ in range(4 if self._backward else 3)]
        mine = [room[: len(poses)] for room in self._room]
        matrix_votes(self._children, self.weight, out=mine[0])
        self.values, self.centred, self.squared, *more = (x.flatten(2, 3) for x in mine)
        if self._offsets is not None:
            self.values.view(-1, len(self._offsets), *self.values.shape[1:]).add_(self._offsets)
        if more:
            self.gradient = more[0].zero_()
        self.pose_dim = self.values.shape[2]
        self._holds: ScratchSquares | None = None

    def backward(self, to_weight: Float[Tensor, "i c j d"]) -> Float[Tensor, "b i rc"]:
        """The gradient to the poses; that to the weight is added to `to_weight`."""
        rows, parents, _, children = self.gradient.shape
        gradient = self.gradient.view(rows, parents, self._children.shape[2], -1, children)
        to_children, more = matrix_votes_backward(self._children, self.weight, gradient, self.centred)
        to_weight += more
        return to_children.flatten(2)

    def over_children(self, weights: Float[Tensor, "b j i"]) -> Float[Tensor, "b j d"]:
        """Sum over children, each weighed."""
        result: Tensor = _Sum.apply(weights, self)
        return result

    def squares(self, means: Float[Tensor, "b j d"]) -> "ScratchSquares":
        """The squared distances of the votes from a mean."""
        squares = ScratchSquares(self, means)
        self._given.append(squares)
        return squares

    def forget(self) -> None:
        """Break the reference cycle with autograd nodes, which is invisible to the garbage collector."""
        for squares in self._given:
            squares.forget()
        self._given.clear()

    def centre(self, squares: "ScratchSquares", means: Float[Tensor, "b j d"]) -> None:
        """Let `centred` and `squared` be those that `squares` asks for."""
        if self._holds is not squares:
            torch.sub(self.values, means[..., None], out=self.centred)
            torch.mul(self.centred, self.centred, out=self.squared)
            self._holds = squares

    def overwrite_squared(self) -> Tensor:
        """Memory of `squared`, for something else."""
        self._holds = None
        return self.squared


class ScratchSquares:
    """Squared distances of `ScratchVotes` from a mean, computed anew whenever the memory has held others since.

    The gradient of both sums goes through one product: `over_entries` leaves its part to `over_children`, on whose
    result it must depend.
    """

    def __init__(self, votes: ScratchVotes, means: Float[Tensor, "b j d"]) -> None:
        self.votes, self._means = votes, means
        self.pending: tuple[Tensor, Tensor] | None = None

    def over_children(self, weights: Float[Tensor, "b j i"]) -> Float[Tensor, "b j d"]:
        """Sum over children, each weighed."""
        spread: Tensor = _Spread.apply(self._means, weights, self)
        self._spread = spread
        return spread

    def forget(self) -> None:
        """Let go of tensors whose graph holds this object."""
        del self._means, self._spread
        self.pending = None

    def over_entries(self, weights: Float[Tensor, "b j d"]) -> Float[Tensor, "b j i"]:
        """Sum over the entries of a vote, each weighed."""
        result: Tensor = _Distance.apply(weights, self._spread, self._means.detach(), self)
        return result


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Float[Tensor, "b j i"], votes: ScratchVotes) -> Float[Tensor, "b j d"]:
        ctx.save_for_backward(weights)
        ctx.votes = votes
        return _over_children(votes.values, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Float[Tensor, "b j d"]) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        ctx.votes.gradient.addcmul_(gradient[..., None], weights[:, :, None])
        return _over_entries(ctx.votes.values, gradient), None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, means: Float[Tensor, "b j d"], weights: Float[Tensor, "b j i"], squares: ScratchSquares
    ) -> Float[Tensor, "b j d"]:
        ctx.save_for_backward(means, weights)
        ctx.squares = squares
        squares.votes.centre(squares, means)
        return _over_children(squares.votes.squared, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Float[Tensor, "b j d"]) -> tuple[Tensor, Tensor, None]:
        means, weights = ctx.saved_tensors
        votes, pending = ctx.squares.votes, ctx.squares.pending
        votes.centre(ctx.squares, means)
        to_weights = _over_entries(votes.squared, gradient)
        half = votes.overwrite_squared()
        torch.mul(gradient[..., None], weights[:, :, None], out=half)
        if pending is not None:
            half.addcmul_(pending[0][..., None], pending[1][:, :, None])
        half.mul_(votes.centred)
        votes.gradient.add_(half, alpha=2)
        return half.sum(dim=3).mul_(-2), to_weights, None


class _Distance(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weights: Float[Tensor, "b j d"],
        spread: Float[Tensor, "b j d"],
        means: Float[Tensor, "b j d"],
        squares: ScratchSquares,
    ) -> Float[Tensor, "b j i"]:
        ctx.save_for_backward(weights, means)
        ctx.squares = squares
        return _over_entries(squares.votes.squared, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Float[Tensor, "b j i"]) -> tuple[Tensor, None, None, None]:
        weights, means = ctx.saved_tensors
        ctx.squares.votes.centre(ctx.squares, means)
        ctx.squares.pending = (weights, gradient)
        return _over_children(ctx.squares.votes.squared, gradient), None, None, None


def _over_children(values: Float[Tensor, "b j d i"], weights: Float[Tensor, "b j i"]) -> Float[Tensor, "b j d"]:
    column = weights.contiguous().flatten(0, 1)[:, None].mT
    return torch.bmm(values.flatten(0, 1), column).view(values.shape[:3])


def _over_entries(values: Float[Tensor, "b j d i"], weights: Float[Tensor, "b j d"]) -> Float[Tensor, "b j i"]:
    row = weights.contiguous().flatten(0, 1)[:, None]
    return torch.bmm(row, values.flatten(0, 1)).view(*values.shape[:2], values.shape[3])
