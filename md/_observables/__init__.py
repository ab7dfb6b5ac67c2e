"""What is measured in configurations and along trajectories, with its statistical error."""

from ._angles import angle_distribution as angle_distribution
from ._average import Average as Average, average as average, Curve as Curve
from ._configurational import configurational_temperature as configurational_temperature
from ._correlation import (
    diffusion as diffusion,
    green_kubo_diffusion as green_kubo_diffusion,
    green_kubo_viscosity as green_kubo_viscosity,
    mean_square_displacement as mean_square_displacement,
    velocity_autocorrelation as velocity_autocorrelation,
)
from ._radial import radial_distribution as radial_distribution
from ._structure import structure_factor as structure_factor
