"""What a fit shows while it runs."""

import numpy as np
from tqdm.auto import tqdm

from .._search import Standing


class Reporter:
    """A bar with the best cost, its gradient, and what was tried; appears after a second."""

    def __init__(self, num_starts: int, show: bool):
        self._many = num_starts > 1
        # nobody knows how many of its steps a single search will need: no total, no time to go
        total, unit = (num_starts, "start") if self._many else (None, "step")
        self._bar = tqdm(total=total, unit=unit, desc="fit", disable=not show, delay=1.0, leave=False)

    def show(self, standing: Standing) -> None:
        """Bring the bar up to date."""
        best = int(np.argmin(standing.cost))
        self._bar.set_postfix(
            cost=f"{float(standing.cost[best]):.6g}",
            gradient=f"{float(standing.gradient_norm[best]):.1e}",
            accepted=f"{int(standing.num_accepted.sum())}/{int(standing.num_steps.sum())}",
            failures=int(standing.failures.count.sum()),
            refresh=False,
        )
        self._bar.n = int(standing.done.sum()) if self._many else int(standing.num_steps[0])
        self._bar.update(0)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
