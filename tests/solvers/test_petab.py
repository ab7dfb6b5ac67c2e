"""PEtab: the Boehm problem at its nominal values, a small problem in closed form, and what is refused."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import fit, from_petab, Log, UserStarts
from scipy.stats import lognorm, norm
from tests.boehm import Boehm, COST, FILE, FOLDER

evaluate = eqx.filter_jit(lambda problem, z: problem.evaluate(z).cost)
gradient = eqx.filter_jit(lambda problem, z: problem.gradient(z))
needs_boehm = pytest.mark.skipif(not FOLDER.exists(), reason="needs the reference data")


@pytest.mark.slow
@needs_boehm
def test_boehm():
    problem = from_petab(FILE, Boehm(), rtol=1e-10, atol=1e-11)
    z = problem.start()
    assert problem.num_data == 48 and len(problem.names) == 9
    assert float(evaluate(problem, z)) == pytest.approx(COST, abs=1e-5)
    np.testing.assert_allclose(problem.values(problem.lower), 1e-5)
    away = jnp.clip(z + 0.3, problem.lower + 0.3, problem.upper - 0.3)  # the nominal values are the optimum
    slopes = np.asarray(gradient(problem, away))
    h = 1e-3
    at = lambda k, s: float(evaluate(problem, away.at[k].add(s * h)))
    differences = [(at(k, 1) - at(k, -1)) / (2 * h) for k in range(z.size)]
    np.testing.assert_allclose(differences, slopes, rtol=1e-4, atol=1e-5 * np.abs(slopes).max())


class Decay(eqx.Module):
    """x' = -k x from 1; what is seen is gain x, and x."""

    parameters: np.ndarray
    observable_ids: tuple[str, ...] = eqx.field(static=True, default=("seen", "x"))
    parameter_ids: tuple[str, ...] = eqx.field(
        static=True, default=("k", "observableParameter1_seen", "noiseParameter1_seen", "noiseParameter1_x", "start")
    )
    n_events: int = eqx.field(static=True, default=0)

    def _x0(self, t, p):
        return p[4:]

    def _x_solver(self, x):
        return x

    def _x_rdata(self, x, tcl):
        return x

    def _tcl(self, x, p):
        return jnp.zeros(0, x.dtype)

    def _xdot(self, t, x, args):
        return -args[0][0] * x

    def _y(self, t, x, p, tcl, h, op):
        return jnp.stack([p[1] * x[0], x[0]])

    def _sigmay(self, y, p, np):
        return p[2:4]


@needs_boehm
@pytest.mark.slow
def test_search_goes_on_from_noise_levels_that_are_far_too_small():
    """The cost there is 1e10, its model's residuals 1e10 too: half their squares, 1e20, do not measure the cost."""
    problem = from_petab(FILE, Boehm())
    start = 10.0 ** np.array([2.491, -2.275, 3.638, -3.261, -0.253, -4.518, -3.491, -2.81, -4.484])
    starts = UserStarts([dict(zip(problem.names, start.tolist(), strict=True))])
    found = fit(problem, starts=starts, max_steps=30, progress=False, throw=False).starts
    assert found.num_steps[1] == 30 and found.cost[1] < 300


MODEL = Decay(np.array([9.0, 0.0, 0.0, 0.0, 2.0]))
TABLES = {
    "problem.yaml": "format_version: 1\nparameter_file: p.tsv\nproblems:\n- condition_files: [c.tsv]\n"
    "  measurement_files: [m.tsv]\n  observable_files: [o.tsv]\n  sbml_files: [model.xml]\n",
    "p.tsv": "parameterId parameterScale lowerBound upperBound nominalValue estimate\nslow log10 0.01 100 0.5 1\n"
    "gain lin 0 10 3 1\nsd log 0.01 10 0.2 0\n",
    "c.tsv": "conditionId k\ncold slow\nhot 2.5\n",
    "o.tsv": "observableId observableFormula noiseFormula observableTransformation noiseDistribution\n"
    "seen a b log10 normal\nx a b lin normal\n",
    "m.tsv": "observableId simulationConditionId measurement time observableParameters noiseParameters\n"
    "seen cold 5 1 gain sd\nx cold 1.1 1 _ 0.3\nseen cold 7 0.5 gain 0.4\nx hot 0.6 0 _ sd\nx hot 0.1 2 _ 0.3\n"
    "x hot 0.2 2 _ 0.3\n",
}


def write(folder, **changes):
    """The tables as files, with words replaced: a change is (file, old, new)."""
    for name, text in TABLES.items():
        (folder / name).write_text(text if name.endswith("yaml") else text.replace(" ", "\t").replace("_\t", "\t"))
    for file, old, new in changes.values():
        path = folder / file
        path.write_text(path.read_text().replace(old, new))
    return folder / "problem.yaml"


def test_conditions_placeholders_and_logarithms(tmp_path):
    problem = from_petab(write(tmp_path), MODEL)
    assert problem.names == ("slow", "gain") and problem.experiments == ("cold", "hot") and problem.num_data == 6
    assert [type(e.transform) is Log for e in problem.layout.free] == [True, False]
    x = lambda k, t: 2 * np.exp(-k * t)
    logs = [(5.0, 1.0, 0.2), (7.0, 0.5, 0.4)]
    likelihood = sum(lognorm.logpdf(m, np.log(10) * sd, scale=3 * x(0.5, t)) for m, t, sd in logs)
    plain = [(1.1, 0.5, 1.0, 0.3), (0.6, 2.5, 0.0, 0.2), (0.1, 2.5, 2.0, 0.3), (0.2, 2.5, 2.0, 0.3)]
    likelihood += sum(norm.logpdf(m, x(k, t), sd) for m, k, t, sd in plain)
    assert float(evaluate(problem, problem.start())) == pytest.approx(-likelihood, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("problem.yaml", "format_version: 1", "format_version: 2.0.0"), "version 2.0.0"),
        (("m.tsv", "\t2\t", "\tinf\t"), "must be finite"),
        (("m.tsv", "noiseParameters", "preequilibrationConditionId"), "pre-equilibration"),
        (("m.tsv", "simulationConditionId", "condition"), "lacks the column simulationConditionId"),
        (("m.tsv", "seen\tcold\t5", "other\tcold\t5"), "no observable 'other'"),
        (("m.tsv", "\tgain\t", "\t\t"), "does not say what 'observableParameter1_seen' is"),
        (("m.tsv", "\thot\t", "\twarm\t"), "lacks 'warm'"),
        (("m.tsv", "\tsd\n", "\tunknown\n"), "neither a number"),
        (("c.tsv", "\tk\n", "\tspecies\n"), "set parameters only"),
        (("o.tsv", "lin\tnormal", "lin\tlaplace"), "lin-laplace noise"),
        (("p.tsv", "estimate\nslow", "objectivePriorType\testimate\nslow"), "prior"),
        (("p.tsv", "log10", "log2"), "log2"),
    ],
)
def test_what_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        from_petab(write(tmp_path, change=change), MODEL)


def test_events_are_refused(tmp_path):
    with pytest.raises(ValueError, match="3 events"):
        from_petab(write(tmp_path), Decay(MODEL.parameters, n_events=3))
