"""How what is computed from a fitted model depends on the coordinates."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from .._programs import Remembered, signature_of
from ._layout import Layout
from ._mode import supports_forward


class Observation(eqx.Module):
    """`observe(model)` as a function of the coordinates, with the values of one experiment."""

    layout: Layout
    observe: Callable[[PyTree], PyTree] = eqx.field(static=True)
    experiment: int = eqx.field(static=True)

    def __call__(self, z: Float[Array, " p"]) -> PyTree:
        """What is observed."""
        return _traced_once(self, z)


@eqx.filter_jit
def _traced_once(observation: Observation, z: Float[Array, " p"]) -> PyTree:
    layout = observation.layout
    values = layout.of_experiment(layout.by_name(z), observation.experiment)
    return observation.observe(layout.model_with(values))


_forward: Remembered[Any, bool] = Remembered(256)


def sensitivity(observation: Observation, z: Float[Array, " p"]) -> tuple[PyTree, PyTree]:
    """The value, and its Jacobian in the mode that it supports (forward, if it may): one program."""
    is_forward = _forward.get(signature_of((observation, z)), lambda: supports_forward(observation, z))
    return _both(observation, z, is_forward)


@eqx.filter_jit
def _both(observation: Observation, z: Float[Array, " p"], is_forward: bool) -> tuple[PyTree, PyTree]:
    differentiate = jax.jacfwd if is_forward else jax.jacrev
    jacobian, value = differentiate(lambda z: (value := observation(z), value), has_aux=True)(z)
    return value, jacobian
