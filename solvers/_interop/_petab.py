"""Parameter estimation problems in the PEtab format, on models that AMICI exports."""

import pathlib
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._adjoint import AbstractAdjoint, Forward
from .._distributions import LogNormal, Normal
from .._integrate import integrate
from .._presets import stiff
from .._problem import Experiments, Identity, Log, Observed, Parameter, Problem, TimeSeries
from .._types import Numbers
from ._petab_tables import PetabTables, read_petab, Row


class Source(eqx.Module):
    """Where numbers come from: the value of the parameter `index`, or `number` where the index is -1."""

    index: Int[Array, "..."]
    number: Float[Array, "..."]

    def look_up(self, values: Float[Array, " p"]) -> Float[Array, "..."]:
        """The numbers."""
        return jnp.where(self.index < 0, self.number.astype(values.dtype), values[self.index])


class Condition(eqx.Module):
    """What was measured under one condition: times along the first axis, what was measured at a time along the second.

    - `observable`: which one each is. `inputs`: the model's parameters for each.
    - `spread`: factors on the noise of logarithms, ln(10) for log10; 0 where the noise adds to the observable itself.
    """

    series: TimeSeries
    observable: Int[Array, "t k"]
    inputs: Source
    spread: Float[Array, "t k"]


class PetabModel(eqx.Module):
    """Equations with the values of PEtab's parameters, and how to integrate them.

    - `equations`: the object with AMICI's methods. `values`: of the parameters, in the order of PEtab's table.
    """

    equations: Any
    values: Numbers
    rtol: float = eqx.field(static=True)
    atol: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    solver: diffrax.AbstractSolver
    adjoint: AbstractAdjoint


def from_petab(
    path: str | pathlib.Path,
    equations: Any,
    *,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    max_steps: int = 10_000,
    adjoint: AbstractAdjoint | None = None,
) -> Problem:
    """The problem that PEtab files (version 1) describe, for a model in the form of AMICI's JAX exporter.

    - `path`: of the YAML file. `equations`: an instance of the class that AMICI (1.0) generated from the problem, or
      any object with its attributes `parameter_ids`, `observable_ids`, `n_events`, and methods `_x0(t, p)`,
      `_x_solver(x)`, `_tcl(x, p)`, `_xdot(t, x, (p, tcl, h))`, `_x_rdata(x, tcl)`, `_y(t, x, p, tcl, h, op)` and
      `_sigmay(y, p, np)`. AMICI itself is not needed here, nor is the SBML file read.
    - `solver` (default `stiff()`), `rtol`, `atol`, `max_steps`: of `integrate`.
    - `adjoint`: how to differentiate; `Forward()` by default. With more than about a hundred parameters take
      `Checkpointed()`.

    Parameters keep PEtab's names, bounds, scales (`log` and `log10` are `Log()`) and nominal values, from which the
    search starts; those with `estimate` 0 are fixed. Every condition is an experiment. The cost is minus PEtab's log
    likelihood; noise is normal, in the observable or its logarithm. Initialization priors are not used: the starts of
    `LatinHypercube` fill the bounds.

    Raises ValueError for what is not supported: PEtab 2, pre-equilibration, steady states, events, conditions that
    change states, noise of other kinds, priors; ImportError without pandas and PyYAML. Source: L. Schmiester et al.,
    PLoS Comput. Biol. 17, e1008646 (2021), doi:10.1371/journal.pcbi.1008646.
    """
    tables = read_petab(pathlib.Path(path), equations)
    order = [p.name for p in tables.parameters]
    start = PetabModel(
        equations=equations,
        values=jnp.asarray([p.nominal for p in tables.parameters], float),
        rtol=rtol,
        atol=atol,
        max_steps=max_steps,
        solver=stiff() if solver is None else solver,
        adjoint=Forward() if adjoint is None else adjoint,
    )
    parameters = [
        Parameter(
            lambda m, k=k: m.values[k],
            name=p.name,
            bounds=(None, None) if p.fixed else (p.lower, p.upper),
            transform=Log() if p.scale != "lin" and not p.fixed else Identity(),
            fixed=p.fixed,
        )
        for k, p in enumerate(tables.parameters)
    ]
    conditions = {name: _condition(rows, tables, order) for name, rows in tables.conditions.items()}
    return Problem(start, _residuals, Experiments(conditions), parameters=parameters)


def _residuals(model: PetabModel, data: Condition) -> Any:
    """The measurements of a condition, with the noise that the model predicts."""
    equations, ts = model.equations, data.series.ts
    inputs = data.inputs.look_up(model.values)
    p = inputs[0, 0]  # rows differ in what observables and noise have of their own, which no rate depends on
    h, none = jnp.zeros(0, p.dtype), jnp.zeros(0, p.dtype)
    t0 = jnp.zeros((), p.dtype)
    x0 = equations._x0(t0, p)
    tcl = equations._tcl(x0, p)
    solution = integrate(
        equations._xdot,
        equations._x_solver(x0),
        ts,
        args=(p, tcl, h),
        t0=t0,
        solver=model.solver,
        rtol=model.rtol,
        atol=model.atol,
        max_steps=model.max_steps,
        adjoint=model.adjoint,
        throw=False,
    )

    def predict(t, x, p, which):
        y = equations._y(t, equations._x_rdata(x, tcl), p, tcl, h, none)
        return y[which], equations._sigmay(y, p, none)[which]

    at_a_time = jax.vmap(predict, in_axes=(None, None, 0, 0))
    y, sd = jax.vmap(at_a_time)(ts, solution.ys, inputs, data.observable)
    is_log = data.spread > 0
    values = data.series.values
    plain = Observed(jnp.where(is_log, jnp.nan, values), Normal(y, sd))
    logarithm, spread = jnp.log(jnp.where(is_log, y, 1)), jnp.where(is_log, data.spread, 1)
    logs = Observed(jnp.where(is_log, values, jnp.nan), LogNormal(logarithm, spread * sd))
    return plain, logs, solution.result


def _condition(rows: list[list[Row]], tables: PetabTables, order: list[str]) -> Condition:
    """The rows of a condition, grouped by time, as arrays; padded to the longest of all conditions."""
    length = max(len(groups) for groups in tables.conditions.values())
    width = max(len(group) for groups in tables.conditions.values() for group in groups)
    unmeasured = rows[0][0]._replace(time=float("nan"), measurement=float("nan"), spread=0.0)
    grid = [[*group, *[unmeasured] * (width - len(group))] for group in rows]
    grid += [[unmeasured] * width] * (length - len(rows))
    each = lambda look: [[look(row) for row in group] for group in grid]
    index = lambda row: [order.index(x) if isinstance(x, str) else -1 for x in row.inputs]
    number = lambda row: [0.0 if isinstance(x, str) else x for x in row.inputs]
    return Condition(
        series=TimeSeries(
            jnp.asarray([group[0].time for group in grid], float), jnp.asarray(each(lambda r: r.measurement), float)
        ),
        observable=jnp.asarray(each(lambda r: r.observable)),
        inputs=Source(index=jnp.asarray(each(index)), number=jnp.asarray(each(number), float)),
        spread=jnp.asarray(each(lambda r: r.spread), float),
    )
