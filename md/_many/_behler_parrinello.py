"""A small neural potential: networks of symmetry functions, as J. Behler and M. Parrinello introduced them."""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from .._measure import covering
from .._neighbors import AbstractNeighbors
from .._potential import AbstractPotential, in_dtype, ManyBody
from .._system import System
from ._embedded import pick


class BehlerParrinello(AbstractPotential):
    r"""A neural potential, $\sum_i [u_{a_i} + s \, N_{a_i}(G_i)]$: a network for each species, of symmetry functions G.

    For each species of neighbors, radial ones $\sum_j e^{-\eta (r_{ij} - r_s)^2} f_c(r_{ij})$; for each two, angular
    ones $2^{1-\zeta} \sum_{j \ne k} (1 + \lambda \cos\theta_{jik})^\zeta e^{-\eta (r_{ij}^2 + r_{ik}^2)} f_c(r_{ij})
    f_c(r_{ik})$ with $\lambda = \pm 1$ (G2 and G5); $f_c = (1 + \cos \pi r / r_c) / 2$. They do not change with the
    place, the orientation or the order of atoms, and vanish at the cutoff with their slope.

    - `cutoff` $r_c$ [length]. `species`: how many. `width`, `depth`: hidden units in a layer, hidden layers (tanh).
    - `radial`: so many, at distances $r_s$ from a quarter of the cutoff to all of it, as wide as they are apart.
    - `angular`: each $\eta r_c^2$; `zeta`: each $\zeta$, whole numbers.
    - `most`: the most neighbors within the cutoff that an atom may have; with more the energy is NaN.

    The weights, the float leaves of `nets`, are matched to energies and forces by gradients, from `standardized` on
    (see the examples). Raises ValueError for numbers that are not positive.

    Source: J. Behler and M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007), doi:10.1103/PhysRevLett.98.146401; G5:
    J. Behler, J. Chem. Phys. 134, 074106 (2011), doi:10.1063/1.3553717.
    """

    tables: ClassVar = ("offset",)

    nets: tuple[eqx.nn.MLP, ...]
    offset: Array  # u (species,) [energy]
    scale: Array  # s [energy]
    center: Array  # (species, functions), taken off the symmetry functions
    spread: Array  # (species, functions), which then divides them
    cutoff: Array
    distances: Array  # r_s (radial,)
    sharpness: Array  # of the radial functions, eta [1/length²]
    angular: Array  # of the angular ones
    zeta: tuple[int, ...] = eqx.field(static=True)
    most: int = eqx.field(static=True)

    def __init__(
        self,
        cutoff: float,
        *,
        species: int = 1,
        radial: int = 8,
        angular: Sequence[float] = (1.0,),
        zeta: Sequence[int] = (1, 2, 4),
        width: int = 16,
        depth: int = 2,
        most: int = 24,
        key: PRNGKeyArray,
    ) -> None:
        counts = (species, radial, width, depth, most, *zeta)
        if not cutoff > 0 or min(counts) < 1 or not all(eta > 0 for eta in angular):
            raise ValueError(
                f"cutoff = {cutoff}, species = {species}, radial = {radial}, angular = {angular}, zeta = {zeta}, "
                f"width = {width}, depth = {depth} and most = {most} must be positive."
            )
        self.cutoff = jnp.asarray(float(cutoff))
        self.zeta, self.most = tuple(zeta), most
        self.distances = cutoff * jnp.linspace(0.25, 1.0, radial)
        self.sharpness = jnp.asarray((max(radial - 1, 1) / (0.75 * cutoff)) ** 2 / 2)
        self.angular = jnp.asarray(angular, self.cutoff.dtype) / cutoff**2
        functions = species * radial + species * (species + 1) // 2 * len(angular) * len(zeta) * 2
        self.nets = tuple(
            eqx.nn.MLP(functions, "scalar", width, depth, activation=jnp.tanh, key=one)
            for one in jax.random.split(key, species)
        )
        self.offset, self.scale = jnp.zeros(species), jnp.ones(())
        self.center, self.spread = jnp.zeros((species, functions)), jnp.ones((species, functions))

    @property
    def reach(self) -> Any:
        """The cutoff."""
        return self.cutoff

    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Sum over the atoms."""
        return self._summed().total(system, neighbors)

    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Minus the gradient of the sum."""
        return self._summed().force(system, neighbors)

    def _summed(self) -> ManyBody:
        return ManyBody(energy_of=self.atom_energy, cutoff=self.cutoff)

    def atom_energy(self, vectors: Any, a: Any, b: Any, present: Any) -> Any:
        """Energy of one atom, with the vectors (k, 3) to its neighbors."""
        x = (self._functions(vectors, a, b, present) - pick(self.center, a)) / pick(self.spread, a)
        energies = jnp.stack([net(x) for net in self.nets])
        return pick(self.offset, a) + self.scale * pick(energies, a)

    def symmetry_functions(self, system: System, neighbors: AbstractNeighbors | None = None) -> Array:
        """G of each atom (n, functions): radial by species, then angular by pairs of species, eta, zeta, and sign."""
        return _symmetry_functions(self, system, covering(self, system, neighbors))

    def standardized(self, systems: System, energies: Any, neighbors: AbstractNeighbors) -> "BehlerParrinello":
        """With what lets a network begin: symmetry functions shifted and scaled to mean 0 and variance 1, and energies.

        `systems`: configurations (t, ...) of one box, such as `solution.ys`; `energies` (t,) theirs, from which the
        energy of an atom of each species, and the size of what is left, are estimated. `neighbors`: for all of them.
        Raises ValueError if they miss pairs of one, or an atom has more than `most`.
        """
        found, faulty = map(np.asarray, _of_trajectory(self, systems, neighbors))
        if faulty.any():
            raise ValueError(
                f"The neighbors given miss pairs of configuration {np.argmax(faulty)}: make a list with a skin as wide "
                "as twice what atoms move, by `neighbor_list(system, cutoff, skin=...)`."
            )
        if not np.isfinite(found).all():
            raise ValueError(
                f"Symmetry functions of configuration {np.argwhere(~np.isfinite(found))[0][0]} are NaN: an atom has "
                f"more than most = {self.most} neighbors within the cutoff, or a position is not finite."
            )
        members = np.asarray(systems.species)[..., None] == np.arange(len(self.nets))
        count = np.maximum(members.sum(axis=(0, 1)), 1)[:, None]
        center = np.einsum("tns,tng->sg", members, found) / count
        variance = np.einsum("tns,tng->sg", members, found**2) / count - center**2
        spread = np.sqrt(np.maximum(variance, 0))
        spread = np.where(spread > 1e-6 * spread.max(), spread, 1)
        energies, each = np.asarray(energies, found.dtype), members.sum(axis=1).astype(found.dtype)
        offset = np.linalg.lstsq(each, energies)[0]
        left = np.sqrt(np.mean((energies - each @ offset) ** 2) / found.shape[1])
        values = tuple(map(jnp.asarray, (offset, left if left > 0 else 1.0, center, spread)))
        return eqx.tree_at(lambda p: (p.offset, p.scale, p.center, p.spread), self, values)

    def _functions(self, vectors, a, b, present):
        """Symmetry functions of one atom; those that are not near are put at the cutoff, where everything is finite."""
        r2 = jnp.sum(vectors**2, axis=1)
        near = present & (r2 < self.cutoff**2)
        crowded = jnp.sum(near) > self.most
        if vectors.shape[0] > self.most:
            distance = jnp.where(near, jax.lax.stop_gradient(r2), jnp.inf)
            vectors, b, r2, near = pick((vectors, b, r2, near), jax.lax.top_k(-distance, self.most)[1])
        r = jnp.sqrt(jnp.where(near, r2, self.cutoff**2))
        ends = jnp.where(near, (1 + jnp.cos(jnp.pi * r / self.cutoff)) / 2, 0)
        radial = ends[:, None] * jnp.exp(-self.sharpness * (r[:, None] - self.distances[None, :]) ** 2)
        weights = ends[:, None] * jnp.exp(-self.angular[None, :] * r[:, None] ** 2)
        of_kind = jnp.stack([jnp.where(b == kind, 1, 0).astype(r.dtype) for kind in range(len(self.nets))])
        found = [jnp.matmul(of_kind, radial, precision="highest").reshape(-1)]
        units = vectors / r[:, None]
        cosine = jnp.matmul(units, units.T, precision="highest")
        waves = jnp.stack([2 * ((1 + sign * cosine) / 2) ** zeta for zeta in self.zeta for sign in (1, -1)])
        waves = jnp.where(jnp.eye(r.size, dtype=bool)[None], 0, waves)
        for first, second in itertools.combinations_with_replacement(range(len(self.nets)), 2):
            one, other = (weights.T * of_kind[kind][None, :] for kind in (first, second))
            sums = jnp.einsum("ej,fjk,ek->ef", one, waves, other, precision="highest")
            found.append((1 if first == second else 2) * sums.reshape(-1))
        return jnp.concatenate(found) * jnp.where(crowded, jnp.nan, 1)


@eqx.filter_jit
def _symmetry_functions(potential, system, neighbors):
    summed = ManyBody(energy_of=in_dtype(potential, system.position.dtype)._functions, cutoff=potential.cutoff)
    return summed.atom_energies(system, neighbors)


@eqx.filter_jit
def _of_trajectory(potential, systems, neighbors):
    """Symmetry functions of each configuration, and whether the neighbors miss pairs of it."""

    def of(system):
        faulty = neighbors.watch(system.space, system.position).fault(potential.reach).any
        return potential.symmetry_functions(system, neighbors), faulty

    return jax.lax.map(of, systems)
