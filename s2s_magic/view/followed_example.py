"""Show what the wires of a model carry for one example: on the wiring, as a table, and as lines."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from textwrap import wrap
from typing import TYPE_CHECKING

from s2s_magic.view.escaping import in_a_line
from s2s_magic.view.html.markup import Markup, frame, styled, tag
from s2s_magic.view.html.markup import table as html_table
from s2s_magic.view.tables import Table
from s2s_magic.view.text import WIDTH
from s2s_magic.view.text import table as text_table
from s2s_magic.view.wiring.diagram import Link
from s2s_magic.view.wiring.drawing import draw, plan_wiring

if TYPE_CHECKING:
    from s2s_magic.followed import Carried, Followed

HEAD = ("Tensor", "Step", "Line", "Shape", "First values", "Norm", "Gradient")
MEANING = (
    "Norm is the length of all a tensor's numbers, gradient that of the loss's gradient with respect to them: how much "
    "the loss would change. A tensor that several calls read has one gradient, the sum of all ways back. Dashed arrows "
    "lead to what is trained only: a gradient reaches the tensors of frozen layers, too, and ends there."
)


def followed_html(shown: Followed) -> str:
    """Return the example, the wiring with a norm on each wire, and the table."""
    plan = plan_wiring(shown.ledger)
    links = tuple(_carrying(link, shown) for link in plan.graph.links)
    picture = draw(replace(plan, graph=replace(plan.graph, links=links)))
    caption = (
        "On each wire the ids, how much of a mask is true, or the norm of what it carries, and after ← the norm of the "
        "gradient on its way back."
    )
    return str(
        styled(
            *(tag("p", line) for line in _said(shown)),
            frame(Markup(picture), "The wiring, with what it carries", "s2s-scroll"),
            tag("p", caption),
            html_table(_table(shown)),
            tag("p", MEANING),
        )
    )


def followed_text(shown: Followed) -> str:
    """Return the example and the table as lines."""
    return "\n".join([*_said(shown), "", *text_table(_table(shown)), "", *wrap(MEANING, WIDTH)])


def _said(shown: Followed) -> list[str]:
    example = f"{shown.name} reads {in_a_line(shown.source)} and should say {in_a_line(shown.target)}"
    return [f"{example}: loss {shown.loss:.4g}", *shown.notes]


def _table(shown: Followed) -> Table:
    rows = [
        (
            _name(one),
            one.event,
            one.line,
            f"({', '.join(map(str, one.shape))}) {one.dtype}",
            _first(one),
            _number(one.norm),
            _number(one.gradient),
        )
        for one in shown.carried
    ]
    return Table(f"What the wires of {shown.name} carry", HEAD, rows, right=(1, 2, 5, 6))


def _name(one: Carried) -> str:
    return one.name or f"{one.layer}(…)" + (f"[{one.output}]" if one.output else "")


def _first(one: Carried) -> str:
    """Return the first values; of a mask, how many of them are true."""
    if one.true is not None:
        return f"{one.true} of {prod(one.shape)} true"
    several = one.shape and one.shape[-1] > len(one.first)
    return " ".join(map(_value, one.first)) + (" …" if several else "")


def _value(value: float | int | bool | str) -> str:
    if isinstance(value, bool) or not isinstance(value, float):
        return in_a_line(str(value))
    return f"{value:.3g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _carrying(link: Link, shown: Followed) -> Link:
    """Return a link that says what its tensors carry."""
    found = {(one.event, one.output): one for one in shown.carried}
    origins = dict.fromkeys(getattr(tensor, "origin", None) for _, tensor in link.tensors)
    here = [found[origin] for origin in origins if origin in found]
    if not here:
        return link
    carry = ", ".join(_first(one) if one.norm is None else f"{one.norm:.2g}" for one in here)
    back = ", ".join(f"{one.gradient:.2g}" for one in here if one.gradient is not None)
    titles = [f"{_name(one)} {one.shape}: {_first(one)}; norm {_number(one.norm) or 'none'}" for one in here]
    titles = [f"{said}, gradient {_number(one.gradient) or 'none'}" for said, one in zip(titles, here, strict=True)]
    return replace(link, label=f"{carry} ← {back}" if back else carry, title="; ".join(titles))
