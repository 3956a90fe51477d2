"""The geometry of a BoxPair with its gradient in closed form: two autograd functions, one per way to give the boxes.

Everything follows from two things: how far each edge of the prediction lies inside the target's, and both sizes. The
closed form takes a third of the operators that a graph needs. Rows are (N,), so that every operator reads memory in
order, and few operators take a Python number, which on a thousand boxes costs as much as another operator.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import Function

threshold_backward = torch.ops.aten.threshold_backward.default

SIDE = 1e-7
"""No side of a box counts as shorter, so that no denominator is 0. Boxes of a thousandth of a unit don't notice."""

ValueT = TypeVar("ValueT")
Geometry: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""inside, offset, size, enclosing, iou_loss, distance2, diagonal2, target_size: as a BoxPair has them."""
Parts: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""How far the edges lie inside, (2, 2, N), offset of the centres, (2, N), and both sizes, (2, 2, N)."""
Outputs: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""A Geometry, and beside it what its gradient needs: shared and union."""


class lazy_property(Generic[ValueT]):
    """A property that is computed once; functools' own has a lock before Python 3.12, which torch.compile refuses."""

    def __init__(self, compute: Callable[[Any], ValueT]) -> None:
        """Keep how it is computed."""
        self.compute, self.name, self.__doc__ = compute, compute.__name__, compute.__doc__

    def __get__(self, owner: Any, kind: type | None = None) -> ValueT:
        """Compute it, and put it in its own place."""
        if owner is None:
            return self  # type: ignore[return-value]
        value = self.compute(owner)
        setattr(owner, self.name, value)
        return value


class Corners(Function):
    """The geometry of boxes given by their corners, (N, 4) xyxy -> a BoxPair's attributes.

    A box with swapped corners is the point at its first, and a side shorter than SIDE counts as SIDE. The gradient
    knows nothing of that, so a loss that asks for a larger size or a nearer edge still gets it. An edge exactly on the
    target's counts as one outside: the derivative there is one-sided, where that of min and max is the mean of both.
    """

    @staticmethod
    def forward(ctx: Any, pred: Tensor, target: Tensor) -> Geometry:
        """Compute from both; only the prediction has a gradient."""
        return keep(ctx, (), geometry(*from_corners(pred, target)))

    @staticmethod
    def backward(ctx: Any, *by: Tensor | None) -> tuple[Tensor, None]:
        """Gradients of the attributes -> that of the predicted corners, (N, 4)."""
        pred, by_centre, by_size = gradients(ctx, *by)
        if by_size is not None:
            pred -= by_size
        pred.select(0, 1).neg_()
        if by_centre is not None:
            pred += by_centre
        return final(pred.view(4, -1).t()), None


class Centres(Function):
    """The geometry of boxes given by the offset of their centres and their sizes, (2, N) each."""

    @staticmethod
    def forward(ctx: Any, offset: Tensor, size: Tensor, target_size: Tensor) -> Geometry:
        """Compute from all; the size of the target has no gradient."""
        return keep(ctx, (), geometry(*from_centres(offset, size, target_size)))

    @staticmethod
    def backward(ctx: Any, *by: Tensor | None) -> tuple[Tensor, Tensor, None]:
        """Gradients of the attributes -> those of offset and size, (2, N) each."""
        by_inside, by_centre, by_size = gradients(ctx, *by)
        left_top, right_bottom = by_inside.unbind()
        by_size = plus(torch.add(left_top, right_bottom).mul_(-0.5), by_size)
        by_offset = left_top - right_bottom
        by_offset = by_offset if by_centre is None else by_offset.add_(by_centre, alpha=2)
        return final(by_offset), final(by_size), None


def from_corners(pred: Tensor, target: Tensor) -> Parts:
    """Corners of both, (N, 4) xyxy -> what all follows from."""
    boxes = torch.cat((pred.t(), target.t())).view(2, 2, 2, -1)  # prediction and target, two corners, x and y
    left_top, right_bottom = boxes.unbind(1)
    sizes = torch.sub(right_bottom.clamp_min_(left_top), left_top).clamp_min_(SIDE)
    inside = torch.sub(*boxes.unbind())
    left_top, right_bottom = inside.unbind()
    offset = torch.lerp(left_top, right_bottom, 0.5)
    right_bottom.neg_()
    return inside, offset, sizes


def from_centres(offset: Tensor, size: Tensor, target_size: Tensor) -> Parts:
    """Offset of the centres and both sizes, (2, N) each -> what all follows from."""
    sizes = torch.stack((size, target_size)).clamp_min_(SIDE)
    margin = torch.sub(target_size, size).mul_(0.5)
    inside = torch.stack((margin + offset, margin - offset))
    return inside, offset.view_as(offset), sizes


def geometry(inside: Tensor, offset: Tensor, sizes: Tensor) -> Outputs:
    """Compute the geometry of a BoxPair from Parts, whose maker has let go of the boxes by now.

    How far the edges lie inside the target's says how much of the target's sides is missed, and so the shared sides
    s = relu(g − missed) and the enclosing box p + missed, for sizes p and g. With I = Πs and U = Πp + Πg − I the IoU
    loss is (U − I)/U.
    """
    size, target_size = sizes.unbind()
    missed = torch.add(*inside.relu().unbind())
    shared = torch.sub(target_size, missed).relu_()
    intersection = shared.prod(0)
    union = torch.add(*sizes.prod(1).unbind()).sub_(intersection)
    iou_loss = torch.sub(union, intersection).relu_().div_(union)
    enclosing = missed.add_(size)
    distance2, diagonal2 = norm2(offset), norm2(enclosing)
    return inside, offset, size, enclosing, iou_loss, distance2, diagonal2, target_size, shared, union


def keep(ctx: Any, inputs: tuple[Tensor, ...], output: Outputs) -> Geometry:
    """Keep what `gradients` needs, and return the geometry."""
    inside, offset, size, enclosing, iou_loss, _, _, target_size, shared, union = output
    ctx.save_for_backward(inside, offset, size, enclosing, iou_loss, shared, union)
    ctx.mark_non_differentiable(target_size, shared, union)
    ctx.set_materialize_grads(in_transform())  # vmap's rule takes no None in some releases of PyTorch
    return output[:8]


def gradients(ctx: Any, *by: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of the attributes, None for those not in use -> those of inside, half the offset, and size.

    ∂IoU/∂I = (1 + IoU)/U and ∂IoU/∂(Πp) = −IoU/U; the derivative of a product of two is the other one.
    """
    by_inside, by_offset, by_size, by_enclosing, by_iou_loss, by_distance2, by_diagonal2, *_ = by
    inside, offset, size, enclosing, iou_loss, shared, union = ctx.saved_tensors
    by_centre = None if by_offset is None else by_offset / 2
    if by_distance2 is not None:
        by_centre = plus(by_distance2 * offset, by_centre)
    if by_diagonal2 is not None:
        by_enclosing = plus(2 * by_diagonal2 * enclosing, by_enclosing)
    if by_enclosing is not None:
        by_size = plus(by_enclosing, by_size)
    by_missed = by_enclosing
    if by_iou_loss is not None:
        by_union = by_iou_loss / union
        by_area = torch.addcmul(by_union, by_union, iou_loss, value=-1)
        by_size = plus(size.flip(0).mul_(by_area), by_size)
        by_shared = shared.flip(0).mul_(by_union.add_(by_area))
        by_missed = plus(threshold_backward(by_shared, shared, 0), by_missed)
        del by_union, by_area, by_shared  # what comes now is the peak of memory
    through = torch.zeros_like(inside) if by_missed is None else threshold_backward(by_missed, inside, 0)
    return through if by_inside is None else through.add_(by_inside), by_centre, by_size


class Final(Function):
    """A gradient whose own is refused: some of what `keep` keeps has none, so that it would be wrong.

    PyTorch's `once_differentiable` looks at the incoming gradients alone, and lets a second derivative be 0.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor) -> Tensor:
        """Pass it on."""
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx: Any, *by: Tensor) -> Tensor:
        """Refuse.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("a loss of upright boxes has no second derivative: its first is in closed form")


def final(gradient: Tensor) -> Tensor:
    """Refuse the derivative of a gradient, where somebody could ask for it: with `create_graph`, or in a transform."""
    return Final.apply(gradient) if torch.is_grad_enabled() else gradient


def plus(x: Tensor, y: Tensor | None) -> Tensor:
    """Add what may not be there."""
    return x if y is None else x + y


def norm2(rows: Tensor) -> Tensor:
    """x² + y²: (2, N) -> (N,)."""
    return (rows * rows).sum(0)


def in_transform() -> bool:
    """Whether a transform of torch.func (`grad`, `vmap`, ...) is under way: what `Function.apply` asks too."""
    return torch._C._are_functorch_transforms_active()


def transformable(function: type[Function], parts_of: Callable[..., Parts]) -> type[Function]:
    """Return the function for torch.func, which sets the context apart and lets out of a function nothing but outputs.

    Not for every call: PyTorch then binds the arguments to a signature each time, a tenth of what a whole loss takes.
    """

    def forward(*boxes: Tensor) -> Outputs:
        return geometry(*parts_of(*boxes))

    own = {"forward": staticmethod(forward), "setup_context": staticmethod(keep), "generate_vmap_rule": True}
    return type(f"Transformable{function.__name__}", (function,), own)


TRANSFORMABLE = {Corners: transformable(Corners, from_corners), Centres: transformable(Centres, from_centres)}


def compute(function: type[Function], *boxes: Tensor) -> Geometry:
    """Apply Corners or Centres, whoever asks."""
    geometry: Geometry = (TRANSFORMABLE[function] if in_transform() else function).apply(*boxes)[:8]
    return geometry
