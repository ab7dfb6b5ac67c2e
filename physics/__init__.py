"""kinax.physics: mechanics and ready-made systems."""

from ._fitzhugh_nagumo import FitzHughNagumo as FitzHughNagumo
from ._gravity import Kepler as Kepler, NBody as NBody
from ._hamiltonian import Hamiltonian as Hamiltonian
from ._lagrangian import Lagrangian as Lagrangian
from ._lorenz import Lorenz as Lorenz
from ._lotka_volterra import LotkaVolterra as LotkaVolterra
from ._pendulum import DoublePendulum as DoublePendulum, Pendulum as Pendulum
from ._robertson import Robertson as Robertson
from ._state import Motion as Motion, Phase as Phase
from ._van_der_pol import ScaledVanDerPol as ScaledVanDerPol, VanDerPol as VanDerPol
