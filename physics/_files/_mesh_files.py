"""Triangles from STL and OBJ files."""

import pathlib

import numpy as np

FORMATS = (".stl", ".obj")


def read_mesh(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3), each once, and the faces (k, 3) between them; ValueError if the file is damaged."""
    content = path.read_bytes()
    try:
        corners, faces = _obj(content) if path.suffix.lower() == ".obj" else _stl(content)
        if len(faces) == 0 or not np.isfinite(corners).all() or faces.min() < 0 or faces.max() >= len(corners):
            raise ValueError("it holds no triangle, or one with a corner that does not exist")
    except (ValueError, IndexError) as error:
        raise ValueError(f"The mesh file {str(path)!r} cannot be read: {error}.") from error
    vertices, number = np.unique(corners, axis=0, return_inverse=True)
    return vertices, number.reshape(-1)[faces]


def _stl(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Each triangle brings its own three corners: as text, or as 50 bytes after a header of 84."""
    count = int.from_bytes(content[80:84], "little")
    if len(content) == 84 + 50 * count:
        record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
        corners = np.frombuffer(content, record, count, 84)["corners"].astype(float)
    else:
        lines = (line.split() for line in content.decode("ascii", "replace").splitlines())
        corners = np.array([[float(x) for x in line[1:4]] for line in lines if line[:1] == ["vertex"]])
    corners = corners.reshape(-1, 3)
    return corners, np.arange(len(corners)).reshape(-1, 3)


def _obj(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices, and faces of three corners or more, cut into fans of triangles; negative indices count from the end."""
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    for line in content.decode("utf-8", "replace").splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            vertices.append([float(x) for x in words[1:4]])
        elif words[:1] == ["f"]:
            numbers = [int(word.split("/")[0]) for word in words[1:]]
            index = [n - 1 if n > 0 else len(vertices) + n for n in numbers]
            faces += [(index[0], b, c) for b, c in zip(index[1:], index[2:], strict=False)]
    return np.array(vertices).reshape(-1, 3), np.array(faces, dtype=np.int64).reshape(-1, 3)
