"""`identifiability`: which combinations of parameters the data determine, and which not."""

import html

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from .._fit import FitResult, spectrum
from .._table import html_table, text_table


class Identifiability(eqx.Module):
    r"""The spectrum of the Fisher information in relative changes of the parameters.

    - `names`, `values`: of the parameters. A value of zero has no logarithm: such a parameter counts by its coordinate
      in the search. `held`: those on a bound, about which it says nothing; they are left out.
    - `eigenvalues`: largest first: the inverse variances of the combinations. Zero where structural.
    - `directions`: the combinations, a unit vector each in the columns: $\sum_k v_k \mathrm{d}\log\theta_k$.
    - `structural`: combinations that do not change the predictions at all, to rounding.
    - `practical`: those that do, but whose standard error exceeds `limit`: a factor of two or more is open.
    - `errors`: the relative standard errors of the parameters alone; infinite where structural.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    values: Float[np.ndarray, " p"]
    held: Bool[np.ndarray, " p"]
    eigenvalues: Float[np.ndarray, " k"]
    directions: Float[np.ndarray, "p k"]
    structural: Bool[np.ndarray, " k"]
    practical: Bool[np.ndarray, " k"]
    errors: Float[np.ndarray, " p"]
    limit: float

    @property
    def condition(self) -> float:
        """The largest eigenvalue over the smallest that is not structural."""
        seen = self.eigenvalues[~self.structural]
        return float(seen.max() / seen.min()) if seen.size else np.inf

    @property
    def verdicts(self) -> dict[str, str]:
        """What is known of each parameter: "determined", "poorly determined", "not determined", "at its bound"."""
        words = []
        for held, error in zip(self.held, self.errors, strict=True):
            known = "determined" if error <= self.limit else "poorly determined"
            words.append("at its bound" if held else "not determined" if np.isinf(error) else known)
        return dict(zip(self.names, words, strict=True))

    def combination(self, index: int, smallest: float = 0.1) -> str:
        """A direction as text, `0.71 log(a) - 0.70 log(b)`, without parts below `smallest` times its largest."""
        v = self.directions[:, index]
        order = [int(k) for k in np.argsort(-np.abs(v), kind="stable") if abs(v[k]) > smallest * np.abs(v).max()]
        v = v * np.sign(v[order[0]])
        parts = [f"{'-' if v[k] < 0 else '+'} {abs(v[k]):.2f} {self._logarithm(k)}" for k in order]
        return " ".join(parts).removeprefix("+ ")

    def _logarithm(self, k: int) -> str:
        value, name = self.values[k], self.names[k]
        return f"log({name})" if value > 0 else f"log(-{name})" if value < 0 else name

    def summary(self) -> str:
        """The parameters with their verdicts, the combinations with theirs, and a sentence."""
        return "\n\n".join([text_table(*self._parameters()), text_table(*self._combinations()), self._sentence()])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        tables = html_table(*self._parameters()) + html_table(*self._combinations())
        return f"{tables}<p>{html.escape(self._sentence())}</p>"

    def _parameters(self):
        rows = []
        for (name, verdict), error in zip(self.verdicts.items(), self.errors, strict=True):
            rows.append((name, f"{100 * error:.3g} %" if np.isfinite(error) else "", verdict))
        return ("parameter", "std. error", "verdict"), rows, ("verdict",)

    def _combinations(self):
        rows = []
        for i, eigenvalue in enumerate(self.eigenvalues):
            verdict = "structural" if self.structural[i] else "practical" if self.practical[i] else ""
            error = "" if self.structural[i] else f"{100 / np.sqrt(eigenvalue):.3g} %"
            rows.append((f"{eigenvalue:.3g}", error, verdict, self.combination(i)))
        return (
            ("eigenvalue", "std. error", "not identifiable", "combination"),
            rows,
            ("not identifiable", "combination"),
        )

    def _sentence(self) -> str:
        structural, practical = int(self.structural.sum()), int(self.practical.sum())
        if not self.eigenvalues.size:
            return "Every parameter is at its bound: nothing can be said (`profile` tells how far each can go)."
        if not structural and not practical:
            return f"The data determine all combinations to better than {100 * self.limit:g} %."
        texts = []
        if structural:
            texts.append(
                f"{structural} combination(s) leave every prediction as it is: no data of this kind determine them. "
                "Fix or tie a parameter of each, or measure something else."
            )
        if practical:
            texts.append(
                f"{practical} combination(s) have a standard error above {100 * self.limit:g} %: more or better data "
                "would determine them, or a prior (`profile` shows how far they reach)."
            )
        return " ".join(texts)


def identifiability(result: FitResult, *, limit: float = 1.0) -> Identifiability:
    r"""Eigenvalues and eigenvectors of the Fisher information $D J^\top J D / s^2$ at the fit, with verdicts.

    $D = \mathrm{diag}(\theta)$ makes it that of $\log|\theta|$, so that units do not matter and an eigenvalue
    $\lambda$ means a relative standard error $1/\sqrt\lambda$ of its combination. $s^2$ is the residuals' scatter, or 1
    where the noise is given as a distribution. Priors count as data.

    A combination is structurally unidentifiable if the Jacobian $J$ times it is zero to the rounding with which $J$ is
    computed, each column counted by its own size, so that neither units nor an ill-conditioned problem look like it.
    This is seen at the fitted values: by the exact derivative of what is simulated, without noise or differences.

    - `limit`: the relative standard error above which a combination, or a parameter, counts as practically
      unidentifiable; 1 is 100 %.

    (B. B. Machta et al., Science 342, 604 (2013), doi:10.1126/science.1238723, on sloppy models.)
    """
    if not limit > 0:
        raise ValueError(f"limit must be positive, a relative standard error, not {limit}.")
    problem = result.problem
    value = np.asarray(problem.values(result.z))
    slope = np.diagonal(np.asarray(jax.jacfwd(problem.values)(result.z)))
    unit = np.where((value != 0) & (slope != 0), value / np.where(slope != 0, slope, 1), 1)
    free = ~result.at_bound
    jac = np.asarray(result.linearization.jacobian)[:, free]
    noise = np.sqrt(result.scatter) if result.scatter > 0 else 1.0
    scale, _, _, unseen = spectrum(jac)
    blind = scale[:, None] * unseen.T  # in coordinates
    scaled = np.linalg.qr(jac * unit[free] / noise, mode="r")
    hidden = np.linalg.qr(blind / unit[free, None])[0]
    rest = np.linalg.svd(hidden, full_matrices=True)[0][:, hidden.shape[1] :]  # what is orthogonal to it
    _, s, vt = np.linalg.svd(scaled @ rest, full_matrices=False)
    order = np.argsort(-s, kind="stable")
    vectors = np.concatenate([rest @ vt.T[:, order], hidden], axis=1)
    eigenvalues = np.concatenate([s[order] ** 2, np.zeros(hidden.shape[1], s.dtype)])
    structural = np.arange(eigenvalues.size) >= s.size
    directions = np.zeros((value.size, eigenvalues.size), s.dtype)
    directions[free] = vectors
    return Identifiability(
        names=problem.names,
        held=~free,
        values=value,
        eigenvalues=eigenvalues,
        directions=directions,
        structural=structural,
        practical=~structural & (eigenvalues * limit**2 < 1),
        errors=_errors(directions, eigenvalues, structural, free),
        limit=limit,
    )


def _errors(directions, eigenvalues, structural, free) -> Float[np.ndarray, " p"]:
    """The relative standard error of each parameter."""
    variance = np.sum(directions[:, ~structural] ** 2 / eigenvalues[~structural], axis=1)
    lost = np.sum(directions[:, structural] ** 2, axis=1) > np.finfo(directions.dtype).eps ** 0.5
    return np.where(free, np.where(lost, np.inf, np.sqrt(variance)), np.nan)
