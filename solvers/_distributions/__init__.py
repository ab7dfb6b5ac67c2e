from ._distribution import AbstractDistribution as AbstractDistribution, AbstractNoise as AbstractNoise
from ._noise import Laplace as Laplace, LogNormal as LogNormal, Normal as Normal, StudentT as StudentT
from ._priors import (
    Beta as Beta,
    Gamma as Gamma,
    HalfNormal as HalfNormal,
    LogUniform as LogUniform,
    Uniform as Uniform,
)
