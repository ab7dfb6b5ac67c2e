"""Names and fields of MuJoCo's compiled models, old and new."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def names_of(mujoco: Any, model: Any, kind: str, count: int) -> list[str]:
    """The names of all objects of a kind; "hinge" and its number, or the like, for those without."""
    enum = getattr(mujoco.mjtObj, f"mjOBJ_{kind.upper()}")
    given = [mujoco.mj_id2name(model, enum, k) for k in range(count)]
    names: list[str] = []
    for k, name in enumerate(given):
        stem = name or f"{kind}_{k}"
        while not name and (stem in given or stem in names):
            stem += "_"
        names.append(stem)
    return names


def field(model: Any, name: str, like: Any) -> np.ndarray:
    """A field of the model; `like`, if this version of MuJoCo does not have it."""
    return np.asarray(getattr(model, name, like))


def among(value: Any, *members: Any) -> bool:
    """Whether a number of the model is one of these members of an enumeration, which compare with nothing else."""
    return int(value) in {int(member) for member in members}


def some(names: Sequence[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
