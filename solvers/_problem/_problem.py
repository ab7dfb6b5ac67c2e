"""`Problem`: a model, its parameters, and the data that they should explain."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from .._programs import interned
from .._search import AbstractDivisible, Evaluation, Linearization
from .._tree import as_jax
from .._types import inexact_asarray, Scalar
from ._experiments import as_experiments, Experiments, Group, groups_of
from ._formula import Formula, Part
from ._gather import gather
from ._layout import Layout, view
from ._loss import AbstractLoss, Squares
from ._mode import choose_mode, Mode
from ._observation import Observation, sensitivity
from ._parameter import Parameter
from ._rows import count_rows, take_rows
from ._show import as_html, as_text
from ._terms import AbstractTerm, PlainTerm


class Problem(AbstractDivisible):
    r"""Which parameters of `model` make `residuals(model, data)` small, or the measurements likely.

    The cost is $\sum \tfrac12\rho(r^2)$ over plain residuals, plus minus the logarithms of the likelihoods of
    measurements and of the priors' densities. With squares it is half the sum of squares, as in SciPy.

    - `model`: any PyTree: a simulator, a vector field, a dictionary of several. The search starts from its values.
    - `residuals`: `residuals(model, data)` returns an array or a PyTree of arrays, each residual in units of its
      standard deviation or all in one unit; and `Observed(values, distribution)` where the noise has a distribution of
      its own. Beside them it may return how its simulation ended, `solution.result`. Let a simulation fail as a value
      (`throw=False`): such a point costs a penalty and is recorded, an exception would end the search. The function is
      compiled once for all problems with the same function object and shapes, so pass what changes through `model`
      and `data`.
    - `data`: whatever `residuals` takes, finite but for the NaN of a `TimeSeries`; or `Experiments({name: data, ...})`.
    - `parameters`: which leaves may change; the others stay.
    - `loss`: how plain residuals count.

    Raises TypeError if `residuals` is not a function, and ValueError for what cannot be right: no parameter, or one
    whose `where` picks no float, that starts outside its bounds or shares its name or leaf with another; ties that go
    round in a circle; NaN in the data; residuals that are no floats, or whose shape or branches depend on values;
    `Observed.values` that depend on parameters (only the distribution may).

    Methods see it as a function of a flat vector of coordinates `z` (transformed, scaled values) in a box.
    """

    layout: Layout
    groups: tuple[Group, ...]
    data: Experiments
    loss: AbstractLoss
    _start: Float[Array, " p"]
    lower: Float[Array, " p"]
    upper: Float[Array, " p"]
    weight: Scalar
    drawn: Int[Array, " n"] | None
    residuals: Callable[[Any, Any], PyTree] = eqx.field(static=True)
    mode: Mode = eqx.field(static=True)
    has_plain_terms: bool = eqx.field(static=True)
    is_plain: bool = eqx.field(static=True)
    is_traced: bool = eqx.field(static=True)
    num_plain: int | None = eqx.field(static=True)

    def __init__(
        self,
        model: PyTree,
        residuals: Callable[[Any, Any], PyTree],
        data: PyTree,
        *,
        parameters: Sequence[Parameter],
        loss: AbstractLoss | None = None,
    ):
        if not callable(residuals):
            raise TypeError(f"residuals must be a function residuals(model, data), not {residuals!r}.")
        if not (loss is None or isinstance(loss, AbstractLoss)):
            raise TypeError(f"loss must be an object such as SoftL1(), not {loss!r}.")
        self.data = as_experiments(data)
        self.groups = groups_of(self.data)
        self.layout, beginning = gather(as_jax(model), parameters, self.data.names)
        self.loss = Squares() if loss is None else loss
        self._start, self.lower, self.upper = beginning.z, beginning.lower, beginning.upper
        self.weight, self.drawn = inexact_asarray(1.0), None
        self.residuals = interned(residuals, (self.layout, self.data))
        self.mode, parts, self.is_traced = choose_mode(self._formula, beginning.z)
        terms = [term for part in parts for term in part.terms]
        plain = [isinstance(term, PlainTerm) for term in terms]
        self.has_plain_terms, self.is_plain = any(plain), all(plain) and not self.layout.has_priors
        self.num_plain = sum(term.channels.size for term in terms) if all(plain) else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the coordinates: entries of arrays and of experiments are numbered and named."""
        return tuple(name for name, _ in self.layout.labels())

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the experiments."""
        return self.data.names

    def start(self) -> Float[Array, " p"]:
        """The coordinates of the model's own values."""
        return self._start

    def values(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """The values of the parameters at coordinates, in the order of `names`."""
        return view(self.layout, z).values

    def model(self, z: Float[Array, " p"], experiment: str | None = None) -> PyTree:
        """The model with the values at coordinates `z` (those of one experiment, if there are values for each)."""
        return self.layout.model_with(self.layout.of_experiment(self.layout.by_name(z), self._number(experiment)))

    def _number(self, experiment: str | None) -> int:
        """Of the experiment whose values are meant."""
        own = [entry.name for entry in self.layout.free if entry.experiments is not None]
        if experiment is None and own:
            raise ValueError(f"{', '.join(own)} have a value for each experiment: name one, or use models[experiment].")
        if experiment is not None and experiment not in self.experiments:
            raise ValueError(f"No experiment {experiment!r}; there are {', '.join(self.experiments)}.")
        return 0 if experiment is None else self.experiments.index(experiment)

    def predictions(self, z: Float[Array, " p"]) -> dict[str, PyTree]:
        """What `residuals` returns at `z`, by experiment."""
        return self._formula.predictions(z)

    def evaluate(self, z):
        """The cost, or a penalty, and the verdicts."""
        return self._evaluation(z, self._formula(z)[1])

    def predicted(self, z: Float[Array, " p"]) -> Float[Array, " n"]:
        """All that the model predicts, flat: plain residuals, and the fields of the measurements' distributions.

        The cost depends on `z` through these numbers and the priors only.
        """
        return self._formula(z)[0]

    def examine(self, z):
        """The cost, or a penalty, with the verdicts; and the Fisher (Gauss-Newton) model."""
        jacobian, parts = self._sensitivity(z)
        score, curvature = self._local(parts, _score), self._local(parts, _curvature)
        curved = curvature > 0
        root = jnp.sqrt(jnp.where(curved, curvature, 1))
        linear = Linearization(
            residuals=jnp.where(curved, score / root, 0),
            jacobian=jnp.where(curved, root, 0)[:, None] * jacobian,
            slope=jnp.where(curved, 0, score) @ jacobian,
        )
        return self._evaluation(z, parts), self._with_priors(z, linear) if self.layout.has_priors else linear

    def examine_optimum(self, z: Float[Array, " p"]) -> tuple[Evaluation, Linearization]:
        """The same at an optimum, with the priors' curvature in the values: the transform's leaves the answer alone.

        It would only balance, at an optimum, the data's, which a Gauss-Newton model leaves out.
        """
        evaluation, linear = self.examine(z)
        if not self.layout.has_priors:
            return evaluation, linear
        curvature = jnp.sqrt(jnp.maximum(self.layout.prior_curvature_in_values(z), 0))
        jacobian = linear.jacobian.at[-z.size :].set(jnp.diag(curvature))
        return evaluation, eqx.tree_at(lambda x: x.jacobian, linear, jacobian)

    def gradient(self, z):
        """The gradient of the cost; zero where an experiment fails."""
        if self.mode.gradient_is_forward:
            return self.gradient_by_jacobian(z)
        evaluate = lambda z: (lambda e: (e.cost, e.failed))(self.evaluate(z))
        gradient, failed = jax.grad(evaluate, has_aux=True)(z)
        return jnp.where(failed, 0, gradient)

    def gradient_by_jacobian(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """The same, in forward mode if the simulation has it: then it can be differentiated again, in forward mode."""
        jacobian, parts = self._sensitivity(z)
        return self._local(parts, _score) @ jacobian - jax.grad(self.layout.log_prior)(z)

    def sensitivity(
        self, observe: Callable[[PyTree], PyTree], z: Float[Array, " p"], experiment: str | None = None
    ) -> tuple[PyTree, PyTree]:
        """`observe(model)` at `z`, and its derivative by the coordinates, which has one more axis."""
        observe = interned(observe, self.layout)
        return sensitivity(Observation(self.layout, observe, self._number(experiment)), z)

    @property
    def num_data(self) -> int:
        """How many data there are; missing ones do not count."""
        return int(_num_data(self, self.start())) if self.num_plain is None else self.num_plain

    @property
    def num_rows(self) -> int:
        """How many parts the data have for minibatches: experiments, or rows of the arrays of a single one."""
        return count_rows(self.groups)

    def subset(self, rows):
        """The problem on some rows of the data, its cost (but not the priors') scaled to all of them."""
        group = take_rows(self.groups, rows)
        parts = (group,), jnp.asarray(self.num_rows / rows.size), None if group.is_single else rows
        where = lambda p: (p.groups, p.weight, p.drawn)
        return eqx.tree_at(where, self, parts, is_leaf=lambda x: x is None)

    def _evaluation(self, z: Float[Array, " p"], parts: tuple[Part, ...]) -> Evaluation:
        order = np.argsort([number for group in self.groups for number in group.members])
        verdicts = jnp.concatenate([jnp.atleast_1d(part.verdict) for part in parts])
        verdicts = (
            verdicts[order] if self.drawn is None else jnp.zeros(order.size, jnp.int32).at[self.drawn].set(verdicts)
        )
        cost = self.weight * sum(jnp.sum(part.cost) for part in parts) - self.layout.log_prior(z)
        return Evaluation(cost, verdicts)

    def _with_priors(self, z, linear: Linearization) -> Linearization:
        """One more row for each coordinate: the curvature of the priors, where positive."""
        curvature = self.layout.prior_curvature(z)
        return Linearization(
            residuals=jnp.concatenate([linear.residuals, jnp.zeros_like(z)]),
            jacobian=jnp.concatenate([linear.jacobian, jnp.diag(jnp.sqrt(jnp.maximum(curvature, 0)))]),
            slope=linear.slope - jax.grad(self.layout.log_prior)(z),
        )

    def _sensitivity(self, z: Float[Array, " p"]) -> tuple[Float[Array, "n p"], tuple[Part, ...]]:
        """The Jacobian of the channels, zero where an experiment fails, and the parts."""
        jacobian, parts = self.mode.jacobian(self._formula, z)
        return jnp.where(_failed(parts), 0, jacobian), parts

    def _local(self, parts: tuple[Part, ...], look: Callable[..., Array]) -> Float[Array, " n"]:
        """A property of the cost in every channel, zero where an experiment fails."""
        each = [
            look(part.terms) if group.is_single else eqx.filter_vmap(look)(part.terms)
            for group, part in zip(self.groups, parts, strict=True)
        ]
        return jnp.where(_failed(parts), 0, self.weight * jnp.concatenate([jnp.ravel(x) for x in each]))

    @property
    def _formula(self) -> Formula:
        return Formula(self.layout, self.groups, self.loss, self.drawn, self.residuals)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def _failed(parts: tuple[Part, ...]) -> Bool[Array, ""]:
    return jnp.any(jnp.concatenate([jnp.ravel(part.verdict) for part in parts]) != 0)


def _score(terms: tuple[AbstractTerm, ...]) -> Float[Array, " n"]:
    """The slope of the cost of an experiment in every channel."""
    return _join([jax.grad(term.cost)(term.channels) for term in terms])


def _curvature(terms: tuple[AbstractTerm, ...]) -> Float[Array, " n"]:
    """The curvature of the cost of an experiment in every channel."""
    return _join([term.curvature() for term in terms])


def _join(trees: PyTree) -> Float[Array, " n"]:
    return jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(trees)])


@eqx.filter_jit
def _num_data(problem: Problem, z: Float[Array, " p"]) -> Int[Array, ""]:
    _, parts = problem._formula(z)
    return jnp.asarray(sum(jnp.sum(term.num_data) for part in parts for term in part.terms))
