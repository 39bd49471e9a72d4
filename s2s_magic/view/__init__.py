"""Render reports of a ledger as text, HTML, SVG and widgets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not lazily: otherwise the name would refer to the submodule and not to the function.
from s2s_magic.view.report import Report, report

if TYPE_CHECKING:
    from s2s_magic.view.html.page import to_html
    from s2s_magic.view.text import to_text
    from s2s_magic.view.widget.inspector import to_widget
    from s2s_magic.view.wiring.drawing import to_svg
    from s2s_magic.view.wiring.png import to_png

_HOMES = {
    "to_html": "html.page",
    "to_png": "wiring.png",
    "to_svg": "wiring.drawing",
    "to_text": "text",
    "to_widget": "widget.inspector",
}

__all__ = ["Report", "report", "to_html", "to_png", "to_svg", "to_text", "to_widget"]


def __getattr__(name: str) -> Any:
    """Import only the requested renderer: text needs no widgets, and no view needs TensorFlow."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
