"""Potentials of many bodies."""

from ._behler_parrinello import BehlerParrinello as BehlerParrinello
from ._eam import EAM as EAM
from ._embedded import AbstractEmbedded as AbstractEmbedded
from ._read_eam import read_funcfl as read_funcfl, read_setfl as read_setfl
from ._stillinger_weber import StillingerWeber as StillingerWeber
from ._tersoff import Tersoff as Tersoff
