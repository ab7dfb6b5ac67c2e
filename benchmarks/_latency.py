"""From the start of a process to its first result: whole processes, their wall and processor seconds.

Each measurement is a script of `_latency_cases/`, run in a fresh process, three times, in turn with its peers;
medians. "Cold" is without JAX's persistent cache, "cached" with one that a run before has filled. Rows with "seconds
of CPU" add up what all threads did; they move less than wall seconds where other programs run. Peers that need an
environment of their own run with the Python that `KINAX_PEERS` names (default: this one); what is missing is left out.

`python -m benchmarks._latency "later fit" "memory"` measures only these and prints a line each.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ._measure import case

SCRIPTS = pathlib.Path(__file__).parent / "_latency_cases"
OTHERS = os.environ.get("KINAX_PEERS", sys.executable)
REPEATS = 3
Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Run:
    """A process: the interpreter, its arguments, the folder of the cache ("" for none), virtual devices."""

    arguments: tuple[str, ...]
    python: str = sys.executable
    cache: str = ""
    devices: int = 1


def script(name: str, *arguments: str, python: str = sys.executable, cache: str = "", devices: int = 1) -> Run:
    """A script of `_latency_cases`."""
    return Run((str(SCRIPTS / f"{name}.py"), *arguments), python, cache, devices)


def ran(run: Run) -> dict[str, Any] | str:
    """Wall and processor seconds of the process, and what it reported; or why it failed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"JAX_NUM_CPU_DEVICES": str(run.devices), "JAX_PLATFORMS": "cpu"}
    if run.cache:
        environment |= {"JAX_COMPILATION_CACHE_DIR": run.cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        process = subprocess.Popen([run.python, *run.arguments], stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            lines = err.read().strip().splitlines()
            return lines[-1] if lines else f"exit status {process.returncode}"
        lines = [line for line in out.read().splitlines() if line.startswith("{")]
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime} | (json.loads(lines[-1]) if lines else {})


def measured(runs: Mapping[str, Run]) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """What each run gave, `REPEATS` times, in turns; and which did not work, and why. "kinax" must."""
    found: dict[str, list[dict[str, Any]]] = {}
    absent: dict[str, str] = {}
    for run in runs.values():
        if run.cache:
            ran(run)
    for _ in range(REPEATS):
        for name, run in runs.items():
            if name in absent:
                continue
            one = ran(run)
            if isinstance(one, str):
                absent[name] = one
            else:
                found.setdefault(name, []).append(one)
    if "kinax" in absent:
        raise RuntimeError(absent["kinax"])
    return found, absent


def rows(name: str, bar: str, runs: Mapping[str, Run], parts: Mapping[str, str] | None = None) -> Rows:
    """Two rows, of wall and CPU seconds, for the process or for the parts of it that the scripts report.

    `parts`: a label of a part -> its name in the report; by default the process itself.
    """
    found, absent = measured(runs)
    notes: dict[str, Any] = {"bar": bar} | ({"absent": absent} if absent else {})
    notes["values"] = {side: _short(many[0].get("values", [])) for side, many in found.items()}
    made = []
    for label, part in (parts or {"": ""}).items():
        for clock, metric in (("wall", "seconds"), ("cpu", "seconds of CPU")):
            pick = lambda one, part=part, clock=clock: (one[part] if part else one)[clock]
            medians = {side: statistics.median(map(pick, many)) for side, many in found.items()}
            ours = medians.pop("kinax")
            made.append(case(name, metric + label, ours, medians, **notes))
            notes = {"bar": bar}
    return made


def _short(values: Any) -> list[float]:
    """The first numbers, enough to see that the sides computed the same."""
    return [float(f"{x:.6g}") for x in np.ravel(values)[:4]]


def imports(_: str) -> Rows:
    """The import of what a fit needs (`import kinax.solvers` alone loads nothing), against what it stands on."""
    runs = {
        "kinax": Run(("-c", "from kinax.solvers import fit, integrate")),
        "jax + diffrax": Run(("-c", "import jax, diffrax")),
    }
    return rows("import", "1.35 x jax + diffrax", runs)


def readme_cold(_: str) -> Rows:
    """README's fit in a fresh process without a cache."""
    runs = {"kinax": script("_readme_fit"), "by hand": script("_readme_fit_by_hand")}
    return rows("readme fit cold", "6 s, 1.0 x by hand", runs)


def readme_cached(folder: str) -> Rows:
    """The same with a cache that the first run has filled."""
    runs = {
        "kinax": script("_readme_fit", cache=folder),
        "by hand": script("_readme_fit_by_hand", cache=folder),
    }
    return rows("readme fit cached", "3.5 s", runs)


def later_fit(folder: str) -> Rows:
    """Another fit of the same shapes in a warm process: three parameters of two populations, 20 numbers."""
    runs = {
        "kinax": script("_later_fit", cache=folder),
        "by hand": script("_later_fit_by_hand", cache=folder),
        "lmfit": script("_later_fit_lmfit"),
    }
    bar = "0.015 s, 1.5 x by hand, 5 x faster than lmfit"
    return rows("later fit", bar, runs, {"": "same", ", new functions in Parameter": "new"})


def many_data_sets(folder: str) -> Rows:
    """100 fits from the start of the process, with a filled cache."""
    runs = {
        "kinax": script("_many_data_sets", cache=folder),
        "by hand": script("_many_data_sets_by_hand", cache=folder),
        "lmfit": script("_many_data_sets_lmfit"),
    }
    return rows("100 data sets", "faster than lmfit", runs)


def profiles(_: str) -> Rows:
    """`profile` and `predict` after a fit, all of them the first of the process."""
    found = measured({"kinax": script("_profile")})[0]
    pick = lambda part, clock: statistics.median(one[part][clock] for one in found["kinax"])
    made = []
    for name, part, bar in (("profile", "profile", "5 s"), ("predict", "predict", "0.5 s")):
        made += [
            case(name, "seconds", pick(part, "wall"), {}, bar=bar),
            case(name, "seconds of CPU", pick(part, "cpu"), {}),
        ]
    return made


def event_fit(_: str) -> Rows:
    """A fit through a `Stop`, and one gradient of it."""
    both = {"": "", ", after the imports": "part"}
    fitted = rows("event fit", "12 s", {"kinax": script("_event_fit")}, both)
    return fitted + rows("hybrid gradient", "5 s", {"kinax": script("_hybrid_gradient")}, both)


def stiff(_: str) -> Rows:
    """Robertson's reaction and its gradient."""
    both = {"": "", ", after the imports": "part"}
    value = {"kinax": script("_stiff_value"), "kvaerno5": script("_stiff_value_kvaerno5")}
    gradient = {"kinax": script("_stiff_gradient"), "kvaerno5": script("_stiff_gradient_kvaerno5")}
    return rows("stiff value", "1.0 x kvaerno5", value, both) + rows("stiff gradient", "4 s", gradient, both)


def md_start(_: str) -> Rows:
    """100 steps of 500 atoms."""
    runs = {"kinax": script("_md_start"), "jax-md": script("_md_start_jax_md", python=OTHERS)}
    return rows("md start", "", runs, {"": "", ", after the imports": "part"})


def robot_start(folder: str) -> Rows:
    """A humanoid: 100 steps and their gradient."""
    export = [OTHERS, str(pathlib.Path(__file__).parent / "_rigid_step_peers.py"), "export", "1"]
    done = subprocess.run(export, capture_output=True, text=True)
    if done.returncode:
        return [case("robot start", f"no humanoid: {done.stderr.strip().splitlines()[-1]}", float("nan"), {})]
    model = pathlib.Path(folder) / "humanoid.xml"
    model.write_text(done.stdout)
    runs = {"kinax": script("_robot_start", str(model)), "mjx": script("_robot_start_mjx", str(model), python=OTHERS)}
    return rows("robot start", "", runs, {"": "", ", after the imports": "part"})


def ensemble_start(_: str) -> Rows:
    """The first call of `ensemble`, on one device and on eight virtual ones."""
    one, eight = script("_vanderpol_start", "10000"), script("_vanderpol_start", "2560", devices=8)
    parts = {", first call": "part"}
    cases = rows("ensemble start", "5 s", {"kinax": one}, parts)
    return cases + rows("ensemble start, 2560 members on 8 devices", "8 s", {"kinax": eight}, parts)


def counts(_: str) -> Rows:
    """What README's fit compiles, and how often it runs the user's function in Python."""
    found = ran(script("_readme_fit_counts"))
    if isinstance(found, str):
        raise RuntimeError(found)
    programs = case("programs", "compiled", found["programs"], {}, bar="6", names=" ".join(found["names"]))
    return [programs, case("residual traces", "calls in Python", found["traces"], {}, bar="1")]


def memory(folder: str) -> Rows:
    """What fits leave behind, of new functions in `Parameter`, and of new residual functions."""
    made = []
    for n, kind in ((300, "parameters"), (300, "residuals")):
        found = ran(script("_memory_of_fits", str(n), kind, cache=folder))
        if isinstance(found, str):
            raise RuntimeError(found)
        metric = f"MB more after {n} fits, new functions in {kind}"
        made.append(case("memory", metric, found["growth"], {}, bar="200", after_the_first=found["first"]))
    return made


CASES: dict[str, Callable[[str], Rows]] = {
    "import": imports,
    "readme fit cold": readme_cold,
    "readme fit cached": readme_cached,
    "later fit": later_fit,
    "100 data sets": many_data_sets,
    "profile": profiles,
    "event fit": event_fit,
    "stiff": stiff,
    "md start": md_start,
    "robot start": robot_start,
    "ensemble start": ensemble_start,
    "programs": counts,
    "memory": memory,
}


def run() -> Rows:
    """All cases."""
    return chosen(list(CASES))


def chosen(names: list[str]) -> Rows:
    """Some cases, by their names in `CASES`."""
    found = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found += CASES[name](folder)
    return found


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for row in chosen([name]):
            print(json.dumps(row), flush=True)
