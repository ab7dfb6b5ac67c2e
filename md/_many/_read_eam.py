"""Embedded-atom tables from text files."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ._eam import EAM

_HARTREE_BOHR = 27.2 * 0.529  # eV ångström, as the makers of funcfl files rounded it


def read_setfl(path: str | pathlib.Path, elements: Sequence[str] | None = None) -> EAM:
    """The potential in a file of the DYNAMO `setfl` format (`*.eam.alloy`), one or several elements.

    `elements`: those wanted, in the order of the species; all of the file's if not given. Values as in the file,
    usually eV and ångström. Raises ValueError for a file that is cut short, not of this format, or lacks an element.
    """
    lines = _lines(path)
    for _ in range(3):
        _next(lines, path)
    _, *names = _next(lines, path)
    many_rho, drho, many_r, dr, cutoff = _header(_next(lines, path), path)
    embedding, density = [], []
    for _ in names:
        _next(lines, path)  # atomic number, mass, lattice constant, lattice
        embedding.append(_numbers(lines, many_rho, path))
        density.append(_numbers(lines, many_r, path))
    pair = np.zeros((len(names), len(names), many_r))
    for a in range(len(names)):
        for b in range(a + 1):
            pair[a, b] = pair[b, a] = _numbers(lines, many_r, path)
    wanted = tuple(names if elements is None else elements)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"{path} has no parameters for {', '.join(missing)}; it has {', '.join(names)}.")
    rows = [names.index(name) for name in wanted]
    return EAM(
        embedding=np.stack(embedding)[rows],
        density=np.stack(density)[rows],
        pair=pair[np.ix_(rows, rows)],
        drho=drho,
        dr=dr,
        cutoff=cutoff,
        elements=wanted,
    )


def read_funcfl(path: str | pathlib.Path, element: str = "") -> EAM:
    """The potential of one element in a file of the DYNAMO `funcfl` format (`*.eam`); lengths in ångström, eV.

    The file holds effective charges $Z(r)$, of which the pair energy is $27.2 \\cdot 0.529 \\, Z^2 / r$. `element`: a
    name for it. Raises ValueError for a file that is cut short or not of this format.
    """
    lines = _lines(path)
    for _ in range(2):
        _next(lines, path)
    many_rho, drho, many_r, dr, cutoff = _header(_next(lines, path), path)
    embedding, charge, density = (_numbers(lines, many, path) for many in (many_rho, many_r, many_r))
    return EAM(
        embedding=embedding[None],
        density=density[None],
        pair=_HARTREE_BOHR * charge[None, None] ** 2,
        drho=drho,
        dr=dr,
        cutoff=cutoff,
        elements=(element,) if element else (),
    )


def _lines(path: Any) -> Iterator[list[str]]:
    return (line.split() for line in pathlib.Path(path).read_text().splitlines())


def _next(lines: Iterator[list[str]], path: Any) -> list[str]:
    try:
        return next(lines)
    except StopIteration:
        raise ValueError(f"{path} ends too early: the file is cut short.") from None


def _header(words: list[str], path: Any) -> tuple[int, float, int, float, float]:
    try:
        many_rho, drho, many_r, dr, cutoff = words[:5]
        return int(many_rho), float(drho), int(many_r), float(dr), float(cutoff)
    except ValueError:
        raise ValueError(
            f"{path} is not of this format: found {' '.join(words)!r} where the sizes and steps of tables should be."
        ) from None


def _numbers(lines: Iterator[list[str]], count: int, path: Any) -> np.ndarray:
    """So many numbers, on whole lines."""
    words: list[str] = []
    while len(words) < count:
        words += _next(lines, path)
    try:
        return np.array([float(word.replace("D", "E").replace("d", "e")) for word in words[:count]])
    except ValueError:
        raise ValueError(f"{path} is not of this format, or cut short: a table of {count} holds words.") from None
