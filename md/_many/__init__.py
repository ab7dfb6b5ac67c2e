"""Potentials of many bodies."""

from ._embedded import AbstractEmbedded as AbstractEmbedded
from ._stillinger_weber import StillingerWeber as StillingerWeber
