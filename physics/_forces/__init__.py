"""Forces on mechanisms."""

from ._force import AbstractForce as AbstractForce
