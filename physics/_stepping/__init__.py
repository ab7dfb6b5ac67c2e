"""Motion of mechanisms in time."""

from ._chart import MuntheKaas as MuntheKaas, RungeKutta4 as RungeKutta4
from ._euler import ImplicitFast as ImplicitFast, SemiImplicitEuler as SemiImplicitEuler
from ._multibody import Multibody as Multibody
from ._variational import Variational as Variational
