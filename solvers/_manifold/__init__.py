"""States that are not a flat space: holonomic constraints, Lie groups."""

from ._groups import (
    AbstractLieGroup as AbstractLieGroup,
    Euclidean as Euclidean,
    SE3 as SE3,
    SO3 as SO3,
    UnitQuaternion as UnitQuaternion,
)
from ._lie import CommutatorFree as CommutatorFree, RungeKuttaMuntheKaas as RungeKuttaMuntheKaas
from ._rattle import RATTLE as RATTLE
