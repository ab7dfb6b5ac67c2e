"""Atoms held near places."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ...solvers import parameter
from .._potential import in_dtype
from ._terms import AbstractListed, check_terms, numbers


class Restraint(AbstractListed):
    r"""$\frac{k}{2} |x - x_0|^2$ for listed atoms: `atoms` (m, 1), `place` $x_0$ (m, 3) [length], `stiffness` $k$.

    `stiffness` [energy/length²] is one number or one per atom (m,). In a box, to the nearest image of the place.
    """

    values: ClassVar = ("stiffness",)

    atoms: Any = numbers()
    place: Any = parameter()
    stiffness: Any = parameter()

    def __check_init__(self) -> None:
        check_terms(self, 1)
        if jnp.shape(self.place) != (jnp.shape(self.atoms)[0], 3):
            raise ValueError(
                f"Restraint.place has shape {jnp.shape(self.place)}, expected {(jnp.shape(self.atoms)[0], 3)}."
            )

    def summed(self, position, space):
        """The energy."""
        held = in_dtype(self, position.dtype)
        at = position.at[self.atoms[:, 0]].get(mode="fill", fill_value=jnp.nan)
        squares = jnp.sum(jax.vmap(space.displacement)(at, held.place) ** 2, axis=1)
        return jnp.sum(jnp.broadcast_to(held.stiffness, squares.shape) * squares) / 2
