"""Elements of URDF files, and the numbers in them."""

from xml.etree.ElementTree import Element

import numpy as np


def name_of(element: Element) -> str:
    """The name that links, joints and materials must have."""
    name = element.get("name", "")
    if not name:
        raise ValueError(f"A <{element.tag}> has no name.")
    return name


def part(element: Element, tag: str, whose: str) -> Element:
    """The element inside that must be there."""
    found = element.find(tag)
    if found is None:
        raise ValueError(f"The {whose} has an <{element.tag}> without <{tag}>.")
    return found


def number(element: Element, key: str, whose: str, default: float | None) -> float:
    """A finite number; one that has no default must be there."""
    text = element.get(key)
    if text is None and default is None:
        raise ValueError(f"The {whose} has a <{element.tag}> without {key!r}.")
    return float(numbers(element, key, 1, whose, repr(default))[0])


def numbers(element: Element, key: str, count: int, whose: str, default: str) -> np.ndarray:
    """`count` finite numbers."""
    text = element.get(key, default)
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.array([np.nan])
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ValueError(f"The {whose} has a <{element.tag}> with {key}={text!r}, expected {count} finite number(s).")
    return values


def origin(element: Element, whose: str) -> tuple[np.ndarray, np.ndarray]:
    """Position and orientation of the element's `origin`."""
    found = element.find("origin")
    if found is None:
        return np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
    position = numbers(found, "xyz", 3, whose, "0 0 0")
    return position, _roll_pitch_yaw(numbers(found, "rpy", 3, whose, "0 0 0"))


def _roll_pitch_yaw(angles: np.ndarray) -> np.ndarray:
    """The quaternion of turns about the fixed axes x, then y, then z."""
    (a, b, c), (x, y, z) = np.cos(angles / 2), np.sin(angles / 2)
    return np.array(
        [a * b * c + x * y * z, x * b * c - a * y * z, a * y * c + x * b * z, a * b * z - x * y * c],
    )
