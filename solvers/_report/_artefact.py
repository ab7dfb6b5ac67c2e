"""Everything that a fit is, written to one file."""

import datetime
import importlib.metadata
import os
import platform
from typing import Any, TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._problem import fingerprint
from ._archive import write_archive
from ._rows import rows_of

if TYPE_CHECKING:
    from .._fit import FitResult

_PACKAGES = ("kinax", "jax", "jaxlib", "equinox", "diffrax", "optimistix", "numpy", "scipy")


def save_fit(result: "FitResult", path: str | os.PathLike[str]) -> None:
    """Write the file that `load_fit` reads."""
    write_archive(path, _about(result), _arrays(result))


def versions() -> dict[str, str]:
    """Of Python and of the packages that numbers depend on, and the kind of device."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": jax.devices()[0].device_kind,
    }


def _about(result: "FitResult") -> dict[str, Any]:
    problem = result.problem
    return {
        "saved": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "summary": str(result),
        "problem": str(problem),
        "parameters": [{key: _json(x) for key, x in row._asdict().items()} for row in rows_of(result)],
        "cost": _json(float(result.cost)),
        "num_data": problem.num_data,
        "degrees_of_freedom": result.degrees_of_freedom,
        "stats": result.stats,
        "failures": [failure._asdict() for failure in result.starts.failures()],
        "experiments": list(problem.experiments),
        "recipe": result.recipe,
        "fingerprint": fingerprint(problem),
        "dtype": str(result.z.dtype),
        "versions": versions(),
    }


def _json(x: Any) -> Any:
    """JSON has no infinity and no NaN; the arrays have."""
    return None if isinstance(x, float) and not np.isfinite(x) else x


def _arrays(result: "FitResult") -> dict[str, np.ndarray]:
    own = {
        "z": result.z,
        "cost": result.cost,
        "values": result.problem.values(result.z),
        "standard_errors": np.array(list(result.standard_errors.values())),
        "covariance": result.covariance,
        "correlation": result.correlation,
        "at_bound": result.at_bound,
    }
    table = {f"starts/{name}": x for name, x in vars(result.starts).items() if isinstance(x, np.ndarray)}
    data = {}
    for name, one in zip(result.problem.experiments, result.problem.data.data, strict=True):
        for path, leaf in jax.tree_util.tree_leaves_with_path(one):
            if eqx.is_array(leaf) or isinstance(leaf, float | int):
                place = jax.tree_util.keystr(path, simple=True, separator=".")
                data[f"data/{name}/{place or 'values'}"] = _plain(leaf)
    return {name: np.asarray(x) for name, x in (own | table | data).items()}


def _plain(leaf: Any) -> Any:
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf
