"""Fused dynamic routing on a CPU, in torch operations on pieces that stay in the cache.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Procedure 1; the derivation, the names, and
why the images are the innermost axis here (`j i c b`), are in README.md of this folder.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.functional import squash
from capsnet.threads import in_pieces
from capsnet.torch_internals import softmax_gradient

# images of one piece: enough for wide vectors, few enough to leave room in the cache for several children
_IMAGES = 128
# images that a share must have: they are what its vectors run over
_FEWEST_IMAGES = 16
# shares of a batch, which threads take; not one for each thread: their number would change the order of the sums
_SHARES = 4
# numbers of one array `j i c b`; the backward works on four of them in each thread, 4 MB in float32
_NUMBERS = 2**18


def forward(
    poses: Float[Tensor, "b i c"],
    weight: Float[Tensor, "i c j d"],
    bias: Float[Tensor, "j d"] | None,
    leaky: bool,
    parents: Float[Tensor, "b j d"],
    coupling: Float[Tensor, "b i j"],
    totals: Float[Tensor, "r b j d"],
) -> None:
    """Fill `parents`, `coupling` and `totals` from the other arguments."""

    def fill(part: slice) -> None:
        pieces = _slices(part, _IMAGES)
        pairs = _Pairs(weight.to(totals.dtype), leaky, images=_length(pieces[0]), arrays=1)
        for piece in pieces:
            _forward(poses[piece], bias, pairs, parents[piece], coupling[piece], totals[:, piece])

    in_pieces(len(poses), _SHARES, fill, at_least=_FEWEST_IMAGES)


def _forward(
    poses: Float[Tensor, "b i c"],
    bias: Float[Tensor, "j d"] | None,
    pairs: "_Pairs",
    parents: Float[Tensor, "b j d"],
    coupling: Float[Tensor, "b i j"],
    totals: Float[Tensor, "r b j d"],
) -> None:
    children = _images_innermost(poses.to(totals.dtype))
    reached = children.new_zeros(pairs.j, pairs.d, children.shape[-1])
    last = len(totals) - 1
    for step in range(last + 1):
        keep = coupling.permute(2, 1, 0) if step == last else None
        total = pairs.uniform_total(children, keep) if step == 0 else pairs.total(children, reached, keep)
        if bias is not None:
            total += bias[..., None]
        totals[step] = total.permute(2, 0, 1)
        pose = squash(total, dim=1)
        reached += pose
    parents.copy_(pose.permute(2, 0, 1))


def backward(
    poses: Float[Tensor, "b i c"],
    weight: Float[Tensor, "i c j d"],
    totals: Float[Tensor, "r b j d"],
    grad_parents: Float[Tensor, "b j d"],
    grad_coupling: Float[Tensor, "b i j"] | None,
    leaky: bool,
    full: bool,
    grads: tuple[Float[Tensor, "b i c"], Float[Tensor, "i c j d"], Float[Tensor, "j d"]],
) -> None:
    """Fill `grads`, those of `poses`, `weight` and `bias`, from the other arguments."""
    grad_poses, grad_weight, grad_bias = grads

    def fill(part: slice) -> tuple[Tensor, Tensor]:
        pieces = _slices(part, _IMAGES)
        pairs = _Pairs(weight.to(totals.dtype), leaky, images=_length(pieces[0]), arrays=4)
        bias_sum = totals.new_zeros(pairs.j, pairs.d)
        for piece in pieces:
            direct = None if grad_coupling is None else grad_coupling[piece].permute(2, 1, 0)
            into = grad_poses[piece]
            _backward(poses[piece], totals[:, piece], grad_parents[piece], direct, full, pairs, bias_sum, into)
        return pairs.grad_weight(), bias_sum

    first, *others = in_pieces(len(poses), _SHARES, fill, at_least=_FEWEST_IMAGES)
    for weight_sum, bias_sum in others:
        first[0].add_(weight_sum)
        first[1].add_(bias_sum)
    grad_weight.copy_(first[0])
    grad_bias.copy_(first[1])


def _backward(
    poses: Float[Tensor, "b i c"],
    totals: Float[Tensor, "r b j d"],
    grad_parents: Float[Tensor, "b j d"],
    direct: Float[Tensor, "j i b"] | None,
    full: bool,
    pairs: "_Pairs",
    bias_sum: Float[Tensor, "j d"],
    grad_poses: Float[Tensor, "b i c"],
) -> None:
    """Fill `grad_poses`, and add to `bias_sum` and to the sums of `pairs`."""
    children = _images_innermost(poses.to(totals.dtype))
    total = [_images_innermost(one) for one in totals]
    last = len(total) - 1
    reached = [torch.zeros_like(total[0])]
    for step in range(last):
        reached.append(reached[step] + squash(total[step], dim=1))
    grad_pose = _images_innermost(grad_parents.to(totals.dtype))
    agreed = torch.zeros_like(grad_pose)
    grad_children = torch.zeros_like(children)
    for step in range(last, -1 if full else last - 1, -1):
        grad_total = squash_gradient(total[step], grad_pose, dim=1)
        bias_sum += grad_total.sum(-1)
        if step == 0:
            pairs.add_uniform_gradients(children, grad_total, grad_children)
        else:
            pairs.add_gradients(children, reached[step], grad_total, direct, full, agreed, grad_children)
        grad_pose, direct = agreed, None
    grad_poses.copy_(grad_children.permute(2, 0, 1))


class _Pairs:
    """The matrices of all pairs of child and parent, the pieces in which they are used, and room to work in.

    Args:
        weight: W_ij.
        leaky: a child may also go to no parent.
        images: the most that come at once.
        arrays: how many arrays `j i c b` the work needs: 1 forward, 4 backward.
    """

    def __init__(self, weight: Float[Tensor, "i c j d"], leaky: bool, *, images: int, arrays: int) -> None:
        self.i, self.c, self.j, self.d = weight.shape
        self.leaky, self.share = leaky, 1 / (self.j + leaky)
        self.flat = weight.reshape(self.i * self.c, self.j * self.d)
        self.some = _slices(slice(0, self.i), max(1, _NUMBERS // (self.j * self.c * images)))
        self.room = weight.new_empty(arrays, self.j * self.some[0].stop * self.c * images)
        # j (i c) d, a view: one matrix product for each parent serves all children of a piece
        self.matrices = [weight[some].reshape(-1, self.j, self.d).transpose(0, 1) for some in self.some]
        self.grad_flat = weight.new_zeros(self.flat.shape if arrays == 4 else 0)
        self.grad_matrices = [weight.new_zeros(m.shape if arrays == 4 else 0) for m in self.matrices]

    def uniform_total(
        self, children: Float[Tensor, "i c b"], keep: Float[Tensor, "j i b"] | None
    ) -> Float[Tensor, "j d b"]:
        """Sum the votes with the coupling of the first iteration; write it to `keep`."""
        if keep is not None:
            keep.fill_(self.share)
        return torch.mm(self.flat.t(), children.flatten(0, 1)).mul_(self.share).view(self.j, self.d, -1)

    def total(
        self,
        children: Float[Tensor, "i c b"],
        reached: Float[Tensor, "j d b"],
        keep: Float[Tensor, "j i b"] | None,
    ) -> Float[Tensor, "j d b"]:
        """Sum the votes with the softmax of their agreement with `reached` as coupling; write it to `keep`."""
        total = torch.zeros_like(reached)
        for some, matrices in zip(self.some, self.matrices, strict=True):
            own = children[some]
            pulled = self._arrays(0, 1, own)[0]
            torch.bmm(matrices, reached, out=pulled.flatten(1, 2))
            coupling = _coupling(pulled.mul_(own).sum(2), self.leaky)  # j i b
            if keep is not None:
                keep[:, some] = coupling
            scaled = torch.mul(coupling[:, :, None], own, out=pulled)
            total.baddbmm_(matrices.transpose(1, 2), scaled.flatten(1, 2))
        return total

    def add_gradients(
        self,
        children: Float[Tensor, "i c b"],
        reached: Float[Tensor, "j d b"],
        grad_total: Float[Tensor, "j d b"],
        grad_coupling: Float[Tensor, "j i b"] | None,
        full: bool,
        agreed: Float[Tensor, "j d b"],
        grad_children: Float[Tensor, "i c b"],
    ) -> None:
        """Add one iteration's share to the gradients of the earlier poses (`agreed`), the children and the weight."""
        for index, (some, matrices) in enumerate(zip(self.some, self.matrices, strict=True)):
            own, grad_matrices = children[some], self.grad_matrices[index]
            pulled, scaled = self._arrays(0, 2, own), self._arrays(2, 2, own)
            torch.bmm(matrices, grad_total, out=pulled[0].flatten(1, 2))
            torch.bmm(matrices, reached, out=pulled[1].flatten(1, 2))
            grad_agreement, agreement = torch.mul(pulled, own, out=scaled).sum(3)  # j i b
            factors = agreement.new_empty(1 + full, *agreement.shape)
            coupling = _coupling(agreement, self.leaky, out=factors[0])
            if full:
                if grad_coupling is not None:
                    grad_agreement += grad_coupling[:, some]
                # c (g - sum over j of c g); it also holds where the leaky softmax has lost its last share
                softmax_gradient(grad_agreement, coupling, 0, coupling.dtype, grad_input=factors[1])
            used = len(factors)
            factors = factors[:, :, :, None]  # 2 j i 1 b
            grad_children[some] += pulled[:used].mul_(factors).sum((0, 1))
            torch.mul(factors, own, out=scaled[:used])
            grad_matrices.baddbmm_(scaled[0].flatten(1, 2), grad_total.transpose(1, 2))
            if full:
                grad_matrices.baddbmm_(scaled[1].flatten(1, 2), reached.transpose(1, 2))
                agreed.baddbmm_(matrices.transpose(1, 2), scaled[1].flatten(1, 2))

    def add_uniform_gradients(
        self,
        children: Float[Tensor, "i c b"],
        grad_total: Float[Tensor, "j d b"],
        grad_children: Float[Tensor, "i c b"],
    ) -> None:
        """Add the first iteration's share to the gradients of the children and the weight."""
        grad_vote = (grad_total * self.share).flatten(0, 1)
        grad_children.flatten(0, 1).addmm_(self.flat, grad_vote)
        self.grad_flat.addmm_(children.flatten(0, 1), grad_vote.t())

    def grad_weight(self) -> Float[Tensor, "i c j d"]:
        """Sum all shares in the weight's gradient."""
        total = self.grad_flat.view(self.i, self.c, self.j, self.d)
        for some, grad_matrices in zip(self.some, self.grad_matrices, strict=True):
            total[some] += grad_matrices.transpose(0, 1).reshape(-1, self.c, self.j, self.d)
        return total

    def _arrays(self, first: int, count: int, children: Float[Tensor, "i c b"]) -> Float[Tensor, "{count} j i c b"]:
        """Take uninitialised room for some children."""
        room = self.room[first : first + count, : self.j * children.numel()]
        return room.view(count, self.j, *children.shape)


def _slices(whole: slice, most: int) -> list[slice]:
    """Cut a slice into pieces of nearly the same size, none above `most`, the largest first."""
    length = _length(whole)
    size = -(-length // -(-length // most))
    return [slice(start, min(start + size, whole.stop)) for start in range(whole.start, whole.stop, size)]


def _length(whole: slice) -> int:
    length: int = whole.stop - whole.start
    return length


def _images_innermost(x: Float[Tensor, "b rows columns"]) -> Float[Tensor, "rows columns b"]:
    return x.permute(1, 2, 0).contiguous()


def _coupling(
    logits: Float[Tensor, "j i b"], leaky: bool, out: Float[Tensor, "j i b"] | None = None
) -> Float[Tensor, "j i b"]:
    if not leaky:
        return torch.softmax(logits, 0, out=out)
    coupling = torch.cat([logits, torch.zeros_like(logits[:1])]).softmax(dim=0)[:-1]
    return coupling if out is None else out.copy_(coupling)


def squash_gradient(x: Float[Tensor, "*axes"], grad: Float[Tensor, "*axes"], dim: int) -> Float[Tensor, "*axes"]:
    """Multiply `grad` with the derivative of `squash(x, dim)`, in the same safe units."""
    scale = x.abs().amax(dim, keepdim=True).clamp(min=1.0).reciprocal()
    y, unit = x * scale, scale.square()
    square = y.square().sum(dim, keepdim=True) + 1e-20
    norm, below = square.sqrt(), unit + square
    along = (y * grad).sum(dim, keepdim=True) * (unit - square) / (norm * below.square())
    return (grad * norm / below + y * along) * scale
