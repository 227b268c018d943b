"""GraphML, for Gephi, yEd, Maltego and i2 (which read the tables as well).

Source: GraphML Specification 1.0 (http://graphml.graphdrawing.org/specification.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

NAMESPACE: Final = "http://graphml.graphdrawing.org/xmlns"
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Source: XML 1.0, production 2, Char."""
_TYPES: Final = {bool: "boolean", int: "long", float: "double", str: "string"}

Value = bool | int | float | str


def graphml(
    nodes: Iterable[tuple[str, Mapping[str, Value]]],
    edges: Iterable[tuple[str, str, Mapping[str, Value]]],
) -> bytes:
    """An undirected graph as a document.

    Args:
        nodes: id and attributes; all have the attributes of the first.
        edges: the ids of both ends and attributes; likewise.
    """
    root = Element("graphml", xmlns=NAMESPACE)
    keys: list[Element] = []
    graph = Element("graph", edgedefault="undirected")
    named: dict[tuple[str, str], str] = {}

    def describe(element: Element, kind: str, attributes: Mapping[str, Value]) -> None:
        for name, value in attributes.items():
            key = named.get((kind, name))
            if key is None:
                key = named[kind, name] = f"d{len(named)}"
                described = {"id": key, "for": kind, "attr.name": name}
                keys.append(Element("key", {**described, "attr.type": _TYPES[type(value)]}))
            SubElement(element, "data", key=key).text = _text(value)

    for id_, attributes in nodes:
        describe(SubElement(graph, "node", id=_text(id_)), "node", attributes)
    for source, target, attributes in edges:
        ends = {"source": _text(source), "target": _text(target)}
        describe(SubElement(graph, "edge", ends), "edge", attributes)
    root.extend(keys)
    root.append(graph)
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))
