"""`python -m benchmarks NAME [--json]`."""

import argparse
import importlib
import json
import sys
from typing import Any

import jax

BENCHMARKS = {
    "ensemble": "4096 van der Pol oscillators of unlike stiffness, against jit(vmap) and lax.map",
    "latency": "processes from start to first result, cold and cached; against diffrax, lmfit, JAX MD, MJX",
    "overhead": "integrate and its gradients against diffrax, rollout against a bare scan, a progress bar against none",
    "stiff": "four stiff problems to an error of 1e-9: steps, seconds, compilation; against Kvaerno5 and SciPy",
    "nist_strd": "NIST's 27 regression problems from both starts: digits, evaluations; against SciPy, optimistix",
    "profiles": "all profile likelihoods of the lynx-hare model, against a loop of SciPy fits",
    "lynx_hare_posterior": "posteriordb's lynx-hare posterior by fit and NUTS, against numpyro's NUTS",
    "boehm": "the PEtab problem of Boehm et al. 2014: the share of 100 starts that arrives at the known optimum",
    "lj_melt": "the Lennard-Jones melt: steps, rebuilds, replicas, compilation; against LAMMPS, JAX MD, OpenMM",
    "rigid_step": "rigid bodies: a step, its compilation, gradient, 256 at once; against MJX and MuJoCo's C code",
    "drift": "how well the Lennard-Jones melt keeps its energy, by time step, order and float32 or 64; a picture",
    "memory": "peak memory of the gradient of a rollout by adjoint, n = 100 ... 10 000; of molecular dynamics",
}


def table(report: dict[str, Any]) -> str:
    """The report as text: a line per case, peers with the ratio to kinax."""
    lines = [f"{report['benchmark']}: {BENCHMARKS[report['benchmark']]}", report["machine"], ""]
    for row in report["cases"]:
        sign = -1 if row["higher_is_better"] else 1
        peers = [f"{name} {v:.4g} ({(v / row['kinax']) ** sign:.2f} x)" for name, v in row["peers"].items()]
        notes = [
            f"{k} {v}" for k, v in row.items() if k not in ("case", "metric", "kinax", "peers", "higher_is_better")
        ]
        lines.append(f"{row['case']} [{row['metric']}]: kinax {row['kinax']:.4g}; " + "; ".join([*peers, *notes]))
    return "\n".join(lines)


def main() -> None:
    """Run one benchmark and print it."""
    listing = "\n".join(f"  {name:10s} {text}" for name, text in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"benchmarks:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=list(BENCHMARKS), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    benchmark = importlib.import_module(f"benchmarks._{chosen.name}")
    from benchmarks._measure import machine

    report = {"benchmark": chosen.name, "machine": machine(), "cases": benchmark.run()}
    print(json.dumps(report) if chosen.json else table(report))


if __name__ == "__main__":
    sys.exit(main())
