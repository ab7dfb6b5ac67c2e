"""`Explanation`: what `explain` found, as text and as HTML."""

import dataclasses
import html
import math

from .._check import GradientReport
from .._table import html_table, text_table
from ._growth import Growth
from ._ways import Way

_HEAD = ("way", "run time", "memory", "compile", "")


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What `explain` found; `print` it. `ok` says whether there is nothing to warn of.

    - `label`: what was looked at; `inputs`, `outputs`: how many numbers go in, and come out before they are summed.
    - `seconds`, `memory`: of one simulation, measured; memory in bytes.
    - `ways`: to differentiate it, with what they are predicted to cost; `chosen` are those that will be used (by a
      problem) or should be (of a function).
    - `growth`: of small changes over each experiment's simulation; empty if `dynamics` was not given.
    - `gradient`: the comparison with finite differences, `None` if there was nothing to compare.
    - `trouble`: why not.
    """

    label: str
    inputs: int
    outputs: int
    seconds: float
    memory: float
    ways: tuple[Way, ...]
    growth: tuple[Growth, ...]
    gradient: GradientReport | None
    trouble: str

    @property
    def chosen(self) -> tuple[Way, ...]:
        """The ways that will be used, or should be."""
        return tuple(way for way in self.ways if way.is_chosen)

    @property
    def worst_growth(self) -> Growth | None:
        """The growth of the experiment that amplifies small changes most."""
        return max(self.growth, key=lambda one: math.inf if one.failure else one.growth, default=None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to mind before trusting a gradient."""
        worst = self.worst_growth
        found = [self.trouble, "" if worst is None else worst.warning]
        if self.gradient is not None and not self.gradient.ok:
            found.append("The gradient is not confirmed by finite differences: see the table.")
        kinds = {way.name.split(",")[0] for way in self.ways}
        missing = [k for k in sorted(kinds) if k != "steady state" and not any(k in way.name for way in self.chosen)]
        found += [f"No way to the {kind} is available." for kind in missing]
        return tuple(text for text in found if text)

    @property
    def ok(self) -> bool:
        """Whether there is nothing to warn of."""
        return not self.warnings

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why each chosen way was chosen."""
        return tuple(self._reason(way) for way in self.chosen)

    def _reason(self, way: Way) -> str:
        kind, mode = way.name.split(", ")
        others = [w for w in self.ways if w.name.startswith(kind) and w.name != way.name and w.is_available]
        sweeps = {"forward": self.inputs, "reverse": self.outputs if kind == "Jacobian" else 1}
        if not others:
            return f"{way.name}: the only mode that this simulation supports."
        (other,) = others
        text = f"{way.name}: {sweeps['forward']} forward sweep(s) against {sweeps['reverse']} backward sweep(s)"
        if other.run_time < 0.5 * way.run_time:
            text += f", although {other.name.split(', ')[1]} mode may be {way.run_time / other.run_time:.2g} x as fast"
        return f"{text}."

    def __str__(self) -> str:
        parts = [self._heading(), text_table(_HEAD, self._rows(), ("",)), *self._remarks()]
        if self.gradient is not None:
            parts += [f"One derivative, three ways:\n{self.gradient}"]
        return "\n".join([*parts, *(f"WARNING: {text}" for text in self.warnings)])

    def _repr_html_(self) -> str:
        paragraph = lambda text: f"<p>{html.escape(text)}</p>"
        parts = [paragraph(self._heading()), html_table(_HEAD, self._rows(), ("",)), *map(paragraph, self._remarks())]
        if self.gradient is not None:
            parts += [paragraph("One derivative, three ways:"), f"<pre>{html.escape(str(self.gradient))}</pre>"]
        return "".join([*parts, *(f"<p><b>WARNING: {html.escape(text)}</b></p>" for text in self.warnings)])

    def _heading(self) -> str:
        return (
            f"{self.label}: {self.inputs} number(s) in, {self.outputs} out. One simulation takes "
            f"{_time(self.seconds)} and {_size(self.memory)} (measured)."
        )

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (way.name, f"{way.run_time:.3g} x", _size(way.memory), _time(way.compile_time), self._remark(way))
            if way.is_available
            else (way.name, "-", "-", "-", self._remark(way))
            for way in self.ways
        ]

    def _remark(self, way: Way) -> str:
        short = way.remark if len(way.remark) <= 80 else f"{way.remark[:77]}..."
        return ", ".join(text for text in ("chosen" if way.is_chosen else "", short) if text)

    def _remarks(self) -> list[str]:
        worst = self.worst_growth
        growth = "Growth of small changes: not checked, and neither is rest at the end; pass dynamics= to learn it."
        if worst is not None:
            where = f" (experiment {worst.name!r}, the worst of {len(self.growth)})" if len(self.growth) > 1 else ""
            growth = f"Growth of small changes{where}: {worst}."
        predicted = (
            "Predicted: compile time and memory (above some kB) to a factor of about 3, run time (in simulations) of 5."
        )
        return [predicted, *self.reasons, growth]


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _size(count: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} B"
