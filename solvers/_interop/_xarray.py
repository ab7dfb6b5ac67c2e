"""Labelled arrays in and out, by xarray."""

from typing import Any, TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from .._problem import TimeSeries

if TYPE_CHECKING:
    from .._fit import FitResult


def from_xarray(array: Any, *, time: str = "time") -> TimeSeries:
    """An `xarray.DataArray` with a dimension (and coordinate) `time` as a `TimeSeries`, time first, sorted.

    Raises ValueError if there is no such dimension or its coordinate is not numbers.
    """
    if time not in array.dims or time not in array.coords:
        raise ValueError(f"The array has no dimension {time!r} with a coordinate; its dimensions are {array.dims}.")
    if not np.issubdtype(array[time].dtype, np.number):
        raise ValueError(f"The coordinate {time!r} is of type {array[time].dtype}, but must be numbers: convert it.")
    ordered = array.transpose(time, ...).sortby(time)
    return TimeSeries(ordered[time].to_numpy().astype(float), ordered.to_numpy().astype(float))


def to_xarray(result: "FitResult") -> Any:
    """An `xarray.Dataset` of a fit, labelled by the parameters' names.

    Variables: `value`, `standard_error` (parameter), `covariance`, `correlation` (parameter, other), and of the starts
    `start_value`, `start_cost`, `start_verdict`; `unit` is a coordinate. Needs xarray: `pip install kinax[interop]`.
    """
    xarray = _xarray()
    labels = result.problem.layout.labels()
    names = [name for name, _ in labels]
    ends = jax.vmap(result.problem.values)(jnp.asarray(result.starts.z))
    square, each = ("parameter", "other"), ("parameter",)
    return xarray.Dataset(
        {
            "value": (each, list(result.values.values())),
            "standard_error": (each, list(result.standard_errors.values())),
            "covariance": (square, np.asarray(result.covariance)),
            "correlation": (square, np.asarray(result.correlation)),
            "start_value": (("start", "parameter"), np.asarray(ends)),
            "start_cost": (("start",), result.starts.cost),
            "start_verdict": (("start",), result.starts.verdict),
        },
        coords={
            "parameter": names,
            "other": names,
            "unit": (each, [unit for _, unit in labels]),
            "start": np.arange(result.starts.cost.size),
        },
        attrs={"cost": float(result.cost), "num_data": result.problem.num_data},
    )


def _xarray() -> Any:
    try:
        import xarray
    except ImportError as error:
        raise ImportError("Labelled arrays need xarray: pip install kinax[interop]") from error
    return xarray
