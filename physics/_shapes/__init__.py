"""Geometry of bodies: what is drawn, what mass and moments of inertia follow from, and where contact will act."""

from ._flat import Box as Box, Plane as Plane
from ._mesh import Mesh as Mesh
from ._round import Capsule as Capsule, Cylinder as Cylinder, Ellipsoid as Ellipsoid, Sphere as Sphere
from ._shape import AbstractShape as AbstractShape, AbstractSolid as AbstractSolid, inertia_of as inertia_of
