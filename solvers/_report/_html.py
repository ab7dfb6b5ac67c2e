"""A fit as one HTML file that needs nothing else: tables, pictures, and what they were made from."""

import base64
import datetime
import html
import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TYPE_CHECKING

import jax.numpy as jnp

from .._checkpoint import written_whole
from .._problem import fingerprint
from .._table import html_table
from ._artefact import versions
from ._panels import pyplot
from ._plots import Plots
from ._recordings import recordings

if TYPE_CHECKING:
    from .._fit import FitResult
    from .._fit._start_table import Failure

_MOST = 12  # experiments that are drawn
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p.lead { color: #555; margin-top: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 600; border-bottom: 1.5px solid #767676; } td { border-bottom: 1px solid #e4e4e4; }
th, td { padding: .25rem .9rem .25rem 0; white-space: nowrap; }
figure { margin: .8rem 0 1.4rem; } figcaption { color: #555; font-size: .9rem; } img { max-width: 100%; }
code { font-size: .85rem; overflow-wrap: anywhere; }
"""


def write_report(result: "FitResult", path: str | os.PathLike[str], profiles: Any, posterior: Any) -> None:
    """Write the file."""
    name = type(result.problem.layout.model).__name__
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    body = "\n".join(_sections(result, profiles, posterior))
    text = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Fit of {html.escape(name)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f'<body><h1>Fit of {html.escape(name)}</h1><p class="lead">kinax, {now}</p>\n{body}\n</body></html>\n'
    )
    with written_whole(path) as file:
        file.write(text.encode())


def _sections(result: "FitResult", profiles: Any, posterior: Any) -> Iterator[str]:
    plots, problem = Plots(result), result.problem
    yield _section("Parameters", result._repr_html_())
    drawn = problem.experiments[:_MOST]
    left_out = len(problem.experiments) - len(drawn)
    caption = f"The first {_MOST} experiments; {left_out} more are not drawn." if left_out else ""
    data = lambda: plots.fit(experiment=drawn)
    if any(r.observed for name in drawn for r in recordings(result, name)):
        yield _section("Data and fit", _picture(data, f"{_FIT} {caption}"), _picture(plots.residuals, _RESIDUALS))
    else:
        yield _section("Residuals", _picture(plots.residuals, _RESIDUALS))
    if profiles is not None:
        yield _section(
            "Profile likelihoods", profiles._repr_html_(), _picture(lambda: plots.profiles(profiles), _PROFILES)
        )
    if posterior is not None:
        yield _section("Posterior", posterior._repr_html_(), _picture(lambda: plots.trace(posterior), _TRACE))
    if result.z.size > 1:
        yield _section("Correlations", _picture(plots.correlation, "Of the parameters, by the linearized model."))
    yield _section("Starts", *_starts(result, plots))
    yield _section("Problem", problem._repr_html_())
    yield _section("Made with", _pairs(result.recipe), _pairs(versions()))
    digests = {f"{part} (SHA-256)": digest for part, digest in fingerprint(problem).items()}
    yield _section("Fingerprints", _pairs(digests))


_FIT = "Points are data; the line is the median that the fit predicts, the band holds 95 % of data that it predicts."
_RESIDUALS = "Left: in the order of the data; right: against a normal distribution, which lies on the line."
_PROFILES = "The cost with one parameter held and the others fitted again. Shaded: where it is below the threshold."
_TRACE = "Left: marginal densities, by chain; the fit is dashed. Right: the draws in order."


def _starts(result: "FitResult", plots: Plots) -> Iterator[str]:
    starts = result.starts
    if starts.cost.size > 1:
        yield _picture(plots.waterfall, "Where the searches from all starts ended.")
        head = ("cost", "starts", *result.names)
        optima = starts.optima()[:10]
        points = [result.problem.values(jnp.asarray(optimum.z)).tolist() for optimum in optima]
        rows = [
            (f"{o.cost:.6g}", str(len(o.starts)), *(f"{x:.5g}" for x in values))
            for o, values in zip(optima, points, strict=True)
        ]
        yield f"<p>The best optima:</p>{_wide(html_table(head, rows))}"
    failures = starts.failures()
    if not failures:
        yield "<p>No simulation failed.</p>"
        return
    head = ("reason", "experiment", "starts", "times")
    rows = [
        (reason, experiment, str(len(some)), str(sum(f.times for f in some)))
        for (reason, experiment), some in _grouped(failures).items()
    ]
    yield f"<p>Trial points at which simulations failed:</p>{_wide(html_table(head, rows, ('reason', 'experiment')))}"


def _grouped(failures: "list[Failure]") -> "dict[tuple[str, str], list[Failure]]":
    groups: dict[tuple[str, str], list[Failure]] = {}
    for f in failures:
        groups.setdefault((f.reason.split(". ")[0].replace("`", ""), f.experiment), []).append(f)
    return groups


def _picture(draw: Callable[[], Any], caption: str) -> str:
    """A picture inside the file."""
    plt = pyplot()
    axes = draw()
    figure = (axes if hasattr(axes, "figure") else axes.flat[0]).figure
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=160)
    width = round(figure.get_figwidth() * 96)
    plt.close(figure)
    source = base64.b64encode(content.getvalue()).decode()
    shown = html.escape(caption.strip())
    return (
        f'<figure><img width="{width}" alt="{shown}" src="data:image/png;base64,{source}">'
        f"<figcaption>{shown}</figcaption></figure>"
    )


def _pairs(pairs: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(k)}</td><td><code>{html.escape(v)}</code></td></tr>" for k, v in pairs.items()
    )
    return _wide(f"<table>{rows}</table>")


def _wide(table: str) -> str:
    return f'<div class="wide">{table}</div>'


def _section(title: str, *parts: str) -> str:
    return f"<h2>{html.escape(title)}</h2>\n" + "\n".join(_wide(p) if p.startswith("<table") else p for p in parts)
