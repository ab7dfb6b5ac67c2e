"""Small vibrations of crystals."""

from ._bands import band_path as band_path, Bands as Bands
from ._constants import phonons as phonons
from ._phonons import Phonons as Phonons
