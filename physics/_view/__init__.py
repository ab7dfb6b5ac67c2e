"""Pictures of motions: a film of the bodies for a web browser, and plots."""

from ._film import Film as Film, view as view
from ._plots import plot_energy as plot_energy, plot_phase as plot_phase
