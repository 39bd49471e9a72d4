"""The controls of the inspector's page to decode on: a field for a source, and a button."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets

from s2s_magic.errors import Seq2SeqError
from s2s_magic.view.html.markup import Markup, tag
from s2s_magic.view.said_steps import told_html

if TYPE_CHECKING:
    from s2s_magic.told import ToldDecoding

Tell = Callable[[str], "ToldDecoding"]
"""From the text of a source to how its output is said; raises a `Seq2SeqError` for what cannot be decoded."""

UNASKED = "Type a source, and press Decode to be told how its output is said, step by step."


def decode_controls(tell: Tell, show: Callable[[Markup], None], *, style: Any) -> list[ipywidgets.Widget]:
    """Make a field and a button that decodes what is in it.

    Parameters
    ----------
    tell
        Decodes a source.
    show
        Called with how the output is said, or with an error in one line.
    style
        The style of the inspector's other text fields, which the field shares.
    """
    source = ipywidgets.Text(
        description="Source",
        placeholder="a text, or ids such as 3 14 15",
        style=style,
        layout=ipywidgets.Layout(width="28em"),
    )
    button = ipywidgets.Button(
        description="Decode", tooltip="Tell how its output is said", layout=ipywidgets.Layout(width="auto")
    )

    def decode(_: ipywidgets.Button) -> None:
        button.disabled = True  # a second click would wait for the first, and decode again
        try:
            show(Markup(told_html(tell(source.value))) if source.value.strip() else tag("p", UNASKED))
        except Seq2SeqError as error:
            show(tag("p", " ".join(str(error).split()), role="alert"))
        finally:
            button.disabled = False

    button.on_click(decode)
    return [source, button]
