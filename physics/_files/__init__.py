"""Reading and writing descriptions of robots."""

from ._mjcf import read_mjcf as read_mjcf
from ._robot import Keyframe as Keyframe, Robot as Robot
from ._urdf import read_urdf as read_urdf
from ._urdf_shapes import urdf_shapes as urdf_shapes
from ._write_mjcf import write_mjcf as write_mjcf
