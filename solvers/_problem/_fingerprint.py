"""Digests of a problem, part by part, to tell whether two are the same."""

from typing import TYPE_CHECKING

import equinox as eqx

from .._programs import digest, formula_digest

if TYPE_CHECKING:
    from ._problem import Problem


def fingerprint(problem: "Problem") -> dict[str, str]:
    """A digest of the data, of the model's values, of the parameters' declarations, and of the formula."""
    layout = problem.layout
    arrays, rest = eqx.partition(problem, eqx.is_array)
    formula = formula_digest(lambda arrays, z: eqx.combine(arrays, rest).linearize(z), arrays, problem.start())
    return {
        "data": digest((problem.data, problem.data.names)),
        "model": digest(layout.model),
        "parameters": digest(((layout.free, layout.fixed, layout.tied), str(layout.labels()))),
        "formula": formula,
    }
