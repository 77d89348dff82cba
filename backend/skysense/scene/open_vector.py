"""Vector files that nobody vouches for: known formats only, told by their content before OGR sees them.

OGR chooses drivers by content too: a file of any name may be a list of other sources, which may lie on the network.
"""

from __future__ import annotations

from pathlib import Path

from skysense.errors import SkySenseError

FORMATS = "GeoPackage, GeoJSON, Shapefile, FlatGeobuf"
HEAD_BYTES = 65536
APPLICATION = slice(68, 72)  # where SQLite keeps whose file it is
LIST_OF_SOURCES = b"<OGRVRTDataSource"  # anywhere in the beginning, it makes OGR take a file of any other format for one


def check_vector(path: str, refuse: type[SkySenseError]) -> None:
    """Raise `refuse` unless the path is a file of one of the formats above."""
    file = Path(path)
    if not file.is_file():
        raise refuse(f"There is no file {path}.", "Choose a vector file on this computer.")
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise refuse(
            f"{file.name} cannot be read: {error.strerror or error}.", "Check that you have the right to read the file."
        ) from error
    if LIST_OF_SOURCES in head:
        raise refuse(
            f"{file.name} is a virtual vector file, a list of other sources.",
            "Save the layer as GeoPackage (Export > Save as) and use that: virtual files may point anywhere.",
        )
    if not _is_known(head):
        raise refuse(
            f"{file.name} is none of the vector formats that are read: {FORMATS}.",
            "Save the layer as GeoPackage (Export > Save as), and choose a Shapefile by its .shp.",
        )


def _is_known(head: bytes) -> bool:
    if head.startswith(b"SQLite format 3\0"):
        return head[APPLICATION] in (b"GPKG", b"GP10", b"GP11")  # other databases may hold tables that are sources
    if head.startswith((b"fgb\x03", b"\0\0\x27\x0a")):  # FlatGeobuf, Shapefile
        return True
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith(b"{") and b'"type"' in text  # GeoJSON
