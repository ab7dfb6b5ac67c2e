"""XML from files that nobody vouches for."""

import os
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat


def text_of(source: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, or of a text that is given in its place."""
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("<"):
        return source.lstrip("\ufeff \t\r\n").encode()
    with open(source, "rb") as file:
        return file.read()


def parse_xml(content: bytes, what: str) -> ElementTree.Element:
    """The root element; comments and processing instructions are left out.

    A document type is refused, and with it all that makes XML dangerous to read: entities that grow without bound and
    entities or types that are fetched from elsewhere. No file but the given one is opened.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(name: str, *_: Any) -> None:
        raise ValueError(
            f"{what} declares the document type {name!r}. Documents with a type may hold entities that attack who "
            "reads them, and are not read: delete <!DOCTYPE ...>."
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ValueError(f"{what} is not well-formed XML: {error}.") from error
    return builder.close()
