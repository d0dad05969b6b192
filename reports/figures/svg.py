"""Adapt matplotlib's SVG to a page.

The result has no inline style (a strict content security policy forbids it), no metadata, no identifiers that two
figures could share, and a title and a description for screen readers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
NUMBER = re.compile(r"-?\d+\.\d{3,}")
MEASURES = ("d", "x", "y", "width", "height", "transform", "points")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
SERIES = "series:"
"""Start of the identifiers `series:NAME:ROLE`, which name the series of an element."""


def tidy(text: str, *, name: str, title: str, description: str, attributes: Mapping[str, str] | None = None) -> str:
    """Return one `<svg>` element, without the XML declaration; its identifiers begin with `name`."""
    ET.register_namespace("", SVG)
    root = ET.fromstring(text)  # noqa: S314 - matplotlib wrote it a moment ago
    _drop(root, f"{{{SVG}}}metadata", f"{{{SVG}}}style")
    for element in root.iter():
        _style_to_attributes(element)
        _plain_links(element)
        _shorten(element)
        _remove_whitespace(element)
    _prefix_identifiers(root, name)
    _describe(root, name, title, description)
    root.attrib.update(attributes or {})
    root.set("stroke-linejoin", "round")
    root.set("stroke-linecap", "butt")
    return ET.tostring(root, encoding="unicode").strip() + "\n"


def side_by_side(panels: Sequence[str], *, columns: int, paper: str, name: str, title: str, description: str) -> str:
    """Return a complete SVG file: tidy panels of one size, row by row, on paper."""
    across = min(columns, len(panels))
    width, height = map(float, ET.fromstring(panels[0]).attrib["viewBox"].split()[2:])  # noqa: S314 - ours
    full_width, full_height = f"{across * width:g}", f"{-(-len(panels) // across) * height:g}"
    size = {"width": f"{full_width}pt", "height": f"{full_height}pt", "viewBox": f"0 0 {full_width} {full_height}"}
    root = ET.Element(f"{{{SVG}}}svg", size)
    _describe(root, name, title, description)
    ET.SubElement(root, f"{{{SVG}}}rect", {"width": "100%", "height": "100%", "fill": paper})
    for index, panel in enumerate(panels):
        row, column = divmod(index, across)
        inner = ET.fromstring(panel)  # noqa: S314 - ours
        place = {"x": column * width, "y": row * height, "width": width, "height": height}
        inner.attrib.update({key: f"{value:g}" for key, value in place.items()})
        root.append(inner)
    written = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{written}\n'


def _drop(root: ET.Element, *tags: str) -> None:
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in tags]:
            parent.remove(child)


def _style_to_attributes(element: ET.Element) -> None:
    """Turn the style into attributes. All properties but the font have an attribute of the same name."""
    for declaration in filter(None, element.attrib.pop("style", "").split(";")):
        key, _, value = declaration.strip().partition(":")
        if key == "font":
            _font_to_attributes(element, value.strip())
        elif key:
            element.set(key.strip(), value.strip())


def _font_to_attributes(element: ET.Element, shorthand: str) -> None:
    """Split `bold 9px 'DejaVu Sans'` into attributes without the family; the page's font replaces it."""
    before, size, _ = re.split(r"\b([\d.]+px)\b", shorthand, maxsplit=1)
    element.set("font-size", size)
    if before.strip():
        element.set("font-weight" if before.strip() in {"bold", "600", "700"} else "font-style", before.strip())


def _plain_links(element: ET.Element) -> None:
    link = element.attrib.pop(f"{{{XLINK}}}href", None)
    if link is not None:
        element.set("href", link)


def _shorten(element: ET.Element) -> None:
    """Round to a hundredth of a point, which is finer than any screen or printer."""
    for key in MEASURES:
        if key in element.attrib:
            rounded = NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), element.attrib[key])
            element.set(key, " ".join(rounded.split()))


def _remove_whitespace(element: ET.Element) -> None:
    """Put each element on one line: indents are a fifth of matplotlib's output."""
    if element.text and not element.text.strip():
        element.text = None
    if element.tail and not element.tail.strip():
        element.tail = "\n"


def _prefix_identifiers(root: ET.Element, name: str) -> None:
    """Keep the identifiers that are referred to, with the figure's name as a prefix."""
    used = {match for element in root.iter() for value in element.attrib.values() for match in REFERENCE.findall(value)}
    used |= {value[1:] for element in root.iter() if (value := element.get("href", "")).startswith("#")}
    for element in root.iter():
        identifier = element.attrib.pop("id", "")
        if identifier.startswith(SERIES):
            _name_series(element, identifier.removeprefix(SERIES))
        elif identifier in used:
            element.set("id", f"{name}-{identifier}")
        for key, value in element.attrib.items():
            if key == "href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, REFERENCE.sub(rf"url(#{name}-\1)", value))


def _name_series(element: ET.Element, marked: str) -> None:
    series, _, role = marked.rpartition(":")
    element.set("data-series", series)
    if role:
        element.set("data-values", role)


def _describe(root: ET.Element, name: str, title: str, description: str) -> None:
    for position, (tag, content) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = content
        root.insert(position, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    root.set("font-family", "DejaVu Sans, Verdana, system-ui, sans-serif")
