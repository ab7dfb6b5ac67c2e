"""`check_gradient`: forward mode, reverse mode and central differences side by side, with a verdict in words."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ._tree import is_float, leaf_name

_LADDER = 10  # step sizes tried, each a quarter of the one before


@dataclasses.dataclass(frozen=True)
class LeafGradient:
    """The derivative with respect to one leaf along one random direction, three ways; `None` is 'not available'."""

    name: str
    forward: float | None
    reverse: float | None
    difference: float
    difference_error: float
    verdict: str

    @property
    def ok(self) -> bool:
        """Whether all that is available agrees."""
        return self.verdict == "ok"


@dataclasses.dataclass(frozen=True)
class GradientReport:
    """What `check_gradient` found: one `LeafGradient` per float leaf. `print` it; `report.ok` is the verdict."""

    leaves: tuple[LeafGradient, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every leaf's derivatives agree."""
        return all(leaf.ok for leaf in self.leaves)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        show = lambda v: "-" if v is None else f"{v:.9g}"
        head = ("leaf", "forward", "reverse", "differences", "+-", "verdict")
        rows = [
            (r.name, show(r.forward), show(r.reverse), show(r.difference), f"{r.difference_error:.1g}", r.verdict)
            for r in self.leaves
        ]
        widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
        pad = lambda row: "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        bad = sum(not leaf.ok for leaf in self.leaves)
        verdict = "The gradient is right." if not bad else f"The gradient is NOT confirmed for {bad} leaf/leaves."
        return "\n".join([*map(pad, [head, *rows]), *self.notes, verdict])


def check_gradient(
    fn: Callable[[Any], PyTree], x: PyTree, *, rtol: float | None = None, seed: int = 0
) -> GradientReport:
    r"""Compare the derivatives of `fn` at `x`: forward mode, reverse mode, central differences.

    For every float leaf of `x` a random direction $v$ (scaled like the leaf) and for the outputs a random weight $w$
    are drawn; $w^\top (\partial f/\partial x)\, v$ is computed by `jax.jvp`, by `jax.vjp` and by central differences
    with Richardson extrapolation over a ladder of step sizes, whose scatter gives the error of the differences.

    - `fn`: any function of one PyTree; close over the rest.
    - `x`: where to check. Integer leaves and Python numbers are not differentiated and are listed in the notes.
    - `rtol`: the relative disagreement that is tolerated; by default 1e-6 in float64 and 1e-2 in float32 (more in
      coarser types).

    The verdict of a leaf is `ok`, or what is wrong: modes that disagree, a wrong gradient, NaN, a kink, or differences
    that are too noisy to tell or not finite. A mode that `fn` does not support is noted and left out.

    Raises ValueError if nothing in `x` can be differentiated, `fn` is not finite there, or anything is complex.
    """
    dynamic, static = eqx.partition(x, is_float)
    leaves = jtu.tree_leaves_with_path(dynamic)
    skipped = [leaf_name(path, "x") for path, leaf in jtu.tree_leaves_with_path(static) if not callable(leaf)]
    if not leaves:
        hint = f" ({', '.join(skipped)} are integers or Python numbers)" if skipped else ""
        raise ValueError(f"x has no float array leaf{hint}. Use jnp.asarray(1.0) or declare fields with `parameter()`.")
    value = eqx.filter_jit(lambda d: jax.tree.leaves(eqx.filter(fn(eqx.combine(d, static)), is_float)))
    outputs = value(dynamic)
    if not outputs or not all(np.isfinite(y).all() for y in outputs):
        raise ValueError("fn(x) must have float outputs, and finite ones: there is no derivative to check here.")
    _refuse_complex(leaves, outputs)
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(y.shape).astype(y.dtype) for y in outputs]
    directions = [_direction(rng, np.asarray(leaf)) for _, leaf in leaves]
    forward, no_forward = _attempt(lambda: _forward(value, dynamic, directions, weights), "Forward")
    reverse, no_reverse = _attempt(lambda: _reverse(value, dynamic, weights), "Reverse")
    notes = [note for note in (no_forward, no_reverse) if note]
    if skipped:
        notes.append(f"Not differentiated (integers or Python numbers): {', '.join(skipped)}.")
    eps = max(float(jnp.finfo(leaf.dtype).eps) for _, leaf in leaves)
    rtol = (1e-6 if eps < 1e-10 else max(1e-2, 8 * eps)) if rtol is None else rtol
    level = _contract([np.abs(w) for w in weights], [np.abs(y) for y in outputs])
    steps = (0.05 if eps < 1e-10 else 0.3) * 0.25 ** np.arange(_LADDER if eps < 1e-10 else _LADDER // 2)
    rows = []
    for k, (path, _) in enumerate(leaves):
        slopes = _slopes(value, dynamic, k, directions[k], weights, outputs, steps)
        products = None if reverse is None else np.asarray(reverse[k], float) * np.asarray(directions[k], float)
        along = None if forward is None else forward[k]
        rounding = eps * (level + _largest(slopes)) / steps  # of the outputs, and of x itself
        rows.append(_judge(leaf_name(path, "x"), along, products, slopes, rounding, rtol))
    return GradientReport(tuple(rows), tuple(notes))


def _refuse_complex(leaves, outputs) -> None:
    # a real direction and a real weight would leave a derivative that is wrong in the imaginary one unnoticed
    named = [(leaf_name(path, "x"), leaf) for path, leaf in leaves] + [("an output of fn", y) for y in outputs]
    for name, value in named:
        if jnp.iscomplexobj(value):
            raise ValueError(f"{name} is complex: write fn in terms of real and imaginary parts to check it.")


def _direction(rng: np.random.Generator, leaf: np.ndarray) -> np.ndarray:
    """A random direction whose entries are as large as those of the leaf (as its largest, where they are zero)."""
    scale = np.abs(leaf)
    top = scale.max(initial=0)
    scale = np.where(scale > 1e-3 * top, scale, top if top > 0 else 1)
    return np.asarray(scale * rng.standard_normal(leaf.shape), leaf.dtype)


def _attempt(compute: Callable[[], Any], mode: str) -> tuple[Any, str | None]:
    """The result, or a note that `fn` does not support the mode (JAX and Equinox raise several kinds of error)."""
    try:
        return compute(), None
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        return None, f"{mode} mode is not available: {str(error).strip().splitlines()[0]}"


def _forward(value, dynamic, directions, weights) -> list[float]:
    leaves, structure = jax.tree.flatten(dynamic)

    @eqx.filter_jit
    def push(dynamic, tangents):
        return jax.jvp(value, (dynamic,), (jax.tree.unflatten(structure, tangents),))[1]

    def along(k):
        tangents = [np.asarray(v) if j == k else np.zeros_like(v) for j, v in enumerate(directions)]
        return _contract(weights, push(dynamic, [jnp.asarray(t) for t in tangents]))

    return [along(k) for k in range(len(leaves))]


def _reverse(value, dynamic, weights) -> list[Any]:
    @eqx.filter_jit
    def pull(dynamic, weights):
        return jax.vjp(value, dynamic)[1](weights)[0]

    return jax.tree.leaves(pull(dynamic, [jnp.asarray(w) for w in weights]))


def _contract(weights, outputs) -> float:
    """The weighted sum in double precision, whatever the dtype of the outputs."""
    with np.errstate(invalid="ignore", over="ignore"):  # a large step of the ladder may overflow; it is then left out
        products = [np.asarray(w, float) * np.asarray(y, float) for w, y in zip(weights, outputs, strict=True)]
        return float(sum(np.sum(product) for product in products))


def _slopes(value, dynamic, k, direction, weights, outputs, steps) -> np.ndarray:
    """Right and left difference quotients along the direction, for steps that shrink by four."""
    leaves, structure = jax.tree.flatten(dynamic)

    def rise(h):
        moved = np.asarray(leaves[k] + jnp.asarray(h * direction, direction.dtype))
        there = value(jax.tree.unflatten(structure, [*leaves[:k], jnp.asarray(moved), *leaves[k + 1 :]]))
        with np.errstate(invalid="ignore"):
            change = [np.asarray(y, float) - np.asarray(y0, float) for y, y0 in zip(there, outputs, strict=True)]
        return _contract(weights, change) / h

    return np.array([[rise(h), rise(-h)] for h in steps])


def _judge(name, forward, products, slopes, rounding, rtol) -> LeafGradient:
    reverse = None if products is None else float(products.sum())
    known = [v for v in (forward, reverse) if v is not None]
    difference, error, floor = _extrapolate(slopes, rounding)
    size = max([abs(difference), *map(abs, known), 0.0 if products is None else float(np.abs(products).sum())])
    off = max((abs(v - difference) for v in known), default=0.0)
    if not known:
        verdict = "neither forward nor reverse mode is available"
    elif not np.isfinite(known).all():
        verdict = "the gradient is not finite"
    elif len(known) == 2 and abs(known[0] - known[1]) > rtol * size:
        verdict = "forward and reverse mode disagree"
    elif not np.isfinite(error):
        verdict = "the differences are not finite here"
    elif _has_kink(slopes, size):
        right, left = slopes[len(slopes) // 2]
        verdict = f"a kink: the slope is {left:.3g} to the left and {right:.3g} to the right"
    elif off > rtol * size + 3 * error:
        verdict = "the gradient differs from the differences"
    elif error > 0.1 * size and (any(known) or error > 10 * floor):  # a gradient of zero has differences of rounding
        verdict = "the differences are too noisy to tell"
    else:
        verdict = "ok"
    return LeafGradient(name, forward, reverse, difference, error, verdict)


def _extrapolate(slopes: np.ndarray, rounding: np.ndarray) -> tuple[float, float, float]:
    """The limit of central differences for h -> 0, its error and the part of it that is rounding.

    From the two neighbors on the ladder that agree best.
    """
    with np.errstate(invalid="ignore"):
        central = slopes.mean(axis=1)
        finer = (16 * central[1:] - central[:-1]) / 15
        errors = np.abs(np.diff(finer)) + rounding[2:]
    errors = np.where(np.isfinite(errors), errors, np.inf)
    best = int(np.argmin(errors))
    return float(finer[best + 1]), float(errors[best]), float(rounding[best + 2])


def _largest(slopes: np.ndarray) -> np.ndarray:
    return np.max(np.abs(slopes), axis=1, initial=0, where=np.isfinite(slopes))


def _has_kink(slopes: np.ndarray, size: float) -> bool:
    """Whether the jump between the one-sided slopes stays as the step shrinks (for a smooth function it is O(h))."""
    middle = slopes[1 : 1 + len(slopes) // 2]
    size = max(size, _largest(middle).max())  # both derivatives and their mean may be zero, as those of |x| at 0
    with np.errstate(invalid="ignore"):
        jump = middle[:, 0] - middle[:, 1]
    return bool(size > 0 and np.all(np.abs(jump) > 0.05 * size) and np.ptp(jump) <= 0.1 * np.abs(jump).min())
