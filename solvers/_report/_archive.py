"""One file that holds JSON and named arrays and can be read by anything that reads zip and NumPy's `.npy`."""

import io
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._checkpoint import written_whole

_FORMAT = "kinax-fit-1"
_HEADER = "fit.json"


def write_archive(path: str | os.PathLike[str], about: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file: `fit.json`, and a `.npy` for each array; it appears whole or not at all."""
    with written_whole(path) as whole, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(_HEADER, json.dumps({"format": _FORMAT, **about}, indent=2, allow_nan=False))
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            file.writestr(f"{name}.npy", content.getvalue())


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON and the arrays; FileNotFoundError, or ValueError if the file is damaged or something else."""
    content = io.BytesIO(pathlib.Path(path).read_bytes())
    try:
        with zipfile.ZipFile(content) as file:
            about = json.loads(file.read(_HEADER))
            names = [name for name in file.namelist() if name.endswith(".npy")]
            arrays = {name.removesuffix(".npy"): _array(file.read(name)) for name in names}
        if about["format"] != _FORMAT:
            raise ValueError(f"its format is {about['format']!r}, this kinax reads {_FORMAT!r}")
    except (ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{str(path)!r} is not a saved fit, or it is damaged: {error}.") from error
    return about, arrays


def _array(content: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
