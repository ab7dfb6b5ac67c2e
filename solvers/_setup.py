"""What a solve needs besides what the user gave, and whether that fits together."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
from jaxtyping import PyTree

from ._stall import finite_rms_norm
from ._tree import difference
from ._types import Scalar
from ._watched import Watched


def controller_for(
    solver: diffrax.AbstractSolver,
    controller: diffrax.AbstractStepSizeController | None,
    tolerances: tuple[Any, Any],
    dt0: Any,
    callback: Callable[[Any, PyTree], None] | None,
) -> diffrax.AbstractStepSizeController:
    """The one given, or the usual one with these tolerances."""
    if controller is None:
        rtol, atol = tolerances
        controller = diffrax.PIDController(rtol=rtol, atol=atol, norm=finite_rms_norm)
        if not isinstance(solver, diffrax.AbstractAdaptiveSolver):
            raise ValueError(
                f"{type(solver).__name__} estimates no error, so steps cannot adapt. Pass "
                "stepsize_controller=diffrax.ConstantStepSize() and dt0=, or wrap it: diffrax.HalfSolver(solver)."
            )
    if isinstance(controller, diffrax.ConstantStepSize) and dt0 is None:
        raise ValueError("diffrax.ConstantStepSize() needs the step: pass dt0=.")
    if callback is None:
        return controller
    if not isinstance(controller, diffrax.AbstractAdaptiveStepSizeController):
        raise ValueError("callback= needs steps that adapt; of constant ones use `rollout` of a `FixedStep`.")
    return Watched(controller, callback)  # pyright: ignore[reportCallIssue]


def terms_of(vector_field: Any, t0: Scalar, y0: PyTree, args: PyTree) -> PyTree[diffrax.AbstractTerm]:
    """diffrax's terms for what the user gave as the equation."""
    is_term = lambda leaf: isinstance(leaf, diffrax.AbstractTerm)
    leaves = jax.tree.leaves(vector_field, is_leaf=is_term)
    if len(leaves) > 0 and all(is_term(leaf) for leaf in leaves):
        return vector_field
    if not callable(vector_field):
        raise ValueError(f"vector_field must be a function f(t, y, args) or diffrax terms, not {vector_field!r}.")
    derivative = eqx.filter_eval_shape(vector_field, t0, y0, args)
    found = difference(derivative, jax.eval_shape(lambda: y0), "vector_field(t, y, args)")
    if found is not None:
        raise ValueError(f"The vector field must return what y0 looks like, but {found}.")
    return diffrax.ODETerm(vector_field)
