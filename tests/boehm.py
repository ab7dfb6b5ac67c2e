"""Boehm et al. 2014 (doi:10.1021/pr5006923), STAT5 dimers in BaF3 cells: the equations, and the problem in PEtab."""

import os
import pathlib
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from kinax.solvers import from_petab, Problem

DEFAULT = pathlib.Path(__file__).parents[2] / "shared" / "data"
FOLDER = pathlib.Path(os.environ.get("KINAX_REFERENCE_DATA", DEFAULT)) / "petab-boehm"
FILE = FOLDER / "Boehm_JProteomeRes2014.yaml"

COST = 138.2219974  # minus the log likelihood at the nominal values, by AMICI; the optimum's is 138.22
TOTAL = 207.6
CYTOPLASM, NUCLEUS = 1.4, 0.45
KINETIC = ("Epo_degradation_BaF3", "k_exp_hetero", "k_exp_homo", "k_imp_hetero", "k_imp_homo", "k_phos")


class Boehm(eqx.Module):
    """The reactions of the SBML file, as AMICI's JAX exporter arranges them.

    States: the monomers A and B of STAT5, their phosphorylated dimers in the cytoplasm (AB, AA, BB) and in the nucleus
    (AA, AB, BB).
    """

    @property
    def observable_ids(self) -> tuple[str, ...]:
        return ("pSTAT5A_rel", "pSTAT5B_rel", "rSTAT5A_rel")

    @property
    def parameter_ids(self) -> tuple[str, ...]:
        return (*KINETIC, *(f"noiseParameter1_{name}" for name in self.observable_ids), "ratio", "specC17")

    @property
    def n_events(self) -> int:
        return 0

    def _x0(self, t: Any, p: Any) -> Any:
        ratio = p[9]
        return jnp.concatenate([jnp.stack([TOTAL * ratio, TOTAL * (1 - ratio)]), jnp.zeros(6, p.dtype)])

    def _x_solver(self, x: Any) -> Any:
        return x

    def _x_rdata(self, x: Any, tcl: Any) -> Any:
        return x

    def _tcl(self, x: Any, p: Any) -> Any:
        return jnp.zeros(0, x.dtype)

    def _xdot(self, t: Any, x: Any, args: Any) -> Any:
        decay, leave_hetero, leave_homo, enter_hetero, enter_homo, phosphorylate = args[0][:6]
        a, b, ab, aa, bb, nuclear_aa, nuclear_ab, nuclear_bb = x
        rate = CYTOPLASM * 1.25e-7 * jnp.exp(-decay * t) * phosphorylate
        make_aa, make_ab, make_bb = rate * a**2, rate * a * b, rate * b**2
        enter_aa, enter_ab, enter_bb = (CYTOPLASM * c for c in (enter_homo * aa, enter_hetero * ab, enter_homo * bb))
        leave_aa, leave_bb = NUCLEUS * leave_homo * nuclear_aa, NUCLEUS * leave_homo * nuclear_bb
        leave_ab = NUCLEUS * leave_hetero * nuclear_ab
        cytoplasm = [
            2 * (leave_aa - make_aa) + leave_ab - make_ab,
            2 * (leave_bb - make_bb) + leave_ab - make_ab,
            make_ab - enter_ab,
            make_aa - enter_aa,
            make_bb - enter_bb,
        ]
        nucleus = [enter_aa - leave_aa, enter_ab - leave_ab, enter_bb - leave_bb]
        return jnp.concatenate([jnp.stack(cytoplasm) / CYTOPLASM, jnp.stack(nucleus) / NUCLEUS])

    def _y(self, t: Any, x: Any, p: Any, tcl: Any, h: Any, op: Any) -> Any:
        share = p[10]  # of the peptide that A and B have in common
        a, b, ab, aa, bb = x[:5]
        in_a, in_b = share * (a + 2 * aa), (1 - share) * (b + 2 * bb)
        return jnp.stack(
            [
                100 * (ab + 2 * aa * share) / (ab + in_a),
                100 * (ab + 2 * bb * (1 - share)) / (ab + in_b),
                100 * (ab + in_a) / (2 * ab + in_a + in_b),
            ]
        )

    def _sigmay(self, y: Any, p: Any, np: Any) -> Any:
        return p[6:9]


def problem(equations: Any = None) -> Problem:
    """The PEtab problem on these equations, or on others."""
    return from_petab(FILE, Boehm() if equations is None else equations)
