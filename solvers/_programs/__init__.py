"""What is traced, compiled and kept: which programs there are, how they are made, and what they are known by."""

from ._collector import seldom_collecting as seldom_collecting
from ._compiled import compiled as compiled
from ._digest import digest as digest, formula_digest as formula_digest
from ._interned import interned as interned
from ._jaxpr import can_be_lowered as can_be_lowered, constants as constants, programs_in as programs_in
from ._quick import quick_options as quick_options
from ._remembered import Remembered as Remembered
from ._signature import signature_of as signature_of
