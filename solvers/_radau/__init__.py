"""Radau IIA methods for stiff equations."""

from ._radau import Radau as Radau
