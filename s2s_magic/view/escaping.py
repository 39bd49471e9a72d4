"""Make text from a ledger, which may come from a stranger, safe for every front-end to show."""

from __future__ import annotations

import html

_KEPT = "\t\n"
_UNSEEN = [
    *range(0x80, 0xA0),  # further control characters
    0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A),  # what changes the direction of text
    *range(0xD800, 0xE000),  # surrogates
    *range(0xFDD0, 0xFDF0), *(plane + end for plane in range(0, 0x110000, 0x10000) for end in (0xFFFE, 0xFFFF)),
]  # fmt: skip
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"} | dict.fromkeys(_UNSEEN, "\ufffd")
_IN_TEXT = {code: picture for code, picture in _PICTURES.items() if chr(code) not in _KEPT}
_IN_A_LINE = {**_PICTURES, 0x09: " "}


def visible(text: str) -> str:
    """Replace each character that a front-end would obey or reject by a visible one; keep newlines and tabs."""
    return text if text.isascii() and text.isprintable() else text.translate(_IN_TEXT)


def in_a_line(text: str) -> str:
    """Replace characters like `visible`, newlines too."""
    return text if text.isascii() and text.isprintable() else text.translate(_IN_A_LINE)


def escape(text: str) -> str:
    """Return text as HTML and XML without markup, with only characters that XML allows."""
    return html.escape(visible(text))
