"""The inspector: step through a ledger in a notebook, using only ipywidgets' core controls (7.7 and 8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as changed
from typing import Any

import ipywidgets
from IPython.display import display
from traitlets import link

from s2s_magic.errors import LookupFailed
from s2s_magic.ledger import Ledger
from s2s_magic.ledger.compare import side_by_side
from s2s_magic.ledger.explain import explain, names
from s2s_magic.view.bundles import Display, page_display
from s2s_magic.view.comparison import comparison_html
from s2s_magic.view.explained import explanation_html
from s2s_magic.view.html.fits import training_html
from s2s_magic.view.html.markup import Markup, asset, frame, join, tag
from s2s_magic.view.html.page import findings_html, title_html
from s2s_magic.view.report import Report, report
from s2s_magic.view.widget.decode_controls import UNASKED, Tell, decode_controls
from s2s_magic.view.widget.pieces import FILTERS, SORTS, owners_html_at, steps_html
from s2s_magic.view.wiring.drawing import Plan, draw, plan_wiring

MOST_NAMES = 2000
STEPPED = {"Steps", "Owners", "Wiring"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

# ipywidgets gives a slider no name for screen readers and no way to set one, and Notebook 7 intercepts the arrow keys
# of sliders and tabs: attributes fix both, wherever the inspector appears.
_MEND = """
const box = this.closest('.s2s-inspector');
const mend = () => {
  for (const each of box.querySelectorAll('[role=slider], [role=tab]')) {
    if (each.matches('[role=slider]')) each.ariaLabel = 'Step';
    each.dataset.lmSuppressShortcuts = 'true';
  }
};
if (box) { mend(); new MutationObserver(mend).observe(box, {childList: true, subtree: true}); }
"""


def to_widget(
    shown: Report | Ledger,
    *,
    inference: Ledger | None = None,
    replace: ipywidgets.Widget | None = None,
    tell: Tell | None = None,
) -> Inspector:
    """Make the inspector of a report.

    Parameters
    ----------
    shown
        What to show; for a ledger, its whole report.
    inference
        The ledger of the decoding model, to show beside it.
    replace
        An inspector to replace: it is closed with all its parts, so that only one stays alive, and only its static page
        stays.
    tell
        From the text of a source to how its output is said; it raises a `Seq2SeqError` for what cannot be decoded.
        Without it there is no page to decode on.

    Returns
    -------
    Inspector
        A widget; ``update(ledger)`` shows what has been fitted since.
    """
    if isinstance(replace, Inspector):
        replace.retire()
    elif replace is not None:
        close_tree(replace)
    return Inspector(shown if isinstance(shown, Report) else report(shown), inference, tell)


def standing_in(page: Display) -> Display:
    """Return the display of a page that is seen only while the widget in the next output is not alive.

    What hides one of them is CSS, and so works as long as the output is there, with a kernel or without: ipywidgets 8
    marks a widget whose kernel is gone, and a view without its model has no inspector in it.
    """
    style = tag("style", Markup(asset("stand_in.css")))
    return changed(page, html=lambda: tag("div", style, Markup(page.html()), class_="s2s-stand-in"))


def close_tree(widget: ipywidgets.Widget) -> None:
    """Close a widget and all its parts: closing only a parent leaves its children's models alive."""
    for part in list(_parts(widget)):
        part.close()


def _parts(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    for child in getattr(widget, "children", ()):
        yield from _parts(child)
    for name in ("layout", "style"):
        if isinstance(held := getattr(widget, name, None), ipywidgets.Widget):
            yield held
    yield widget


class Inspector(ipywidgets.VBox):  # type: ignore[misc]
    """A widget that shows a report step by step; made by `to_widget`."""

    def __init__(self, shown: Report, inference: Ledger | None, tell: Tell | None) -> None:
        self._report = shown
        self._inference = inference
        self._tell = tell
        self._told: Markup | None = None
        self._page = page_display(shown)
        self._handles: tuple[Any, Any] | None = None
        self._plan: Plan | None = None
        self._titles = ["Steps", "Owners", "Wiring", "Training", "Lookup"]
        self._titles += ["Inference"] * (inference is not None) + ["Decode"] * (tell is not None)
        wide = ipywidgets.Layout(width="auto")
        head = ipywidgets.HTML(layout=wide)
        self._html = {title: ipywidgets.HTML(layout=wide, style=head.style) for title in self._titles} | {"": head}
        self._stale = set(self._titles)
        last = max(0, len(shown.steps) - 1)
        self._slider = ipywidgets.IntSlider(
            last, 0, last, description="Step", layout=ipywidgets.Layout(flex="1 1 18em")
        )
        self._slider.observe(lambda change: self._stepped(), "value")
        self._tabs = ipywidgets.Tab(children=self._pages(wide), layout=wide)
        for number, title in enumerate(self._titles):
            self._tabs.set_title(number, title)
        self._tabs.observe(lambda change: self._draw(), "selected_index")
        self._tabs.selected_index = self._titles.index("Training" if shown.fitted else "Steps")
        self._draw_title()
        self._draw()
        super().__init__(children=[self._html[""], self._stepping(), self._tabs], layout=wide)
        self.add_class("s2s-inspector")

    # -- controls ----------------------------------------------------------------------------------------------------

    def _stepping(self) -> ipywidgets.HBox:
        style, layout = ipywidgets.ButtonStyle(), ipywidgets.Layout(width="auto")
        moves = {
            "First": lambda: 0,
            "Previous": lambda: max(0, self._slider.value - 1),
            "Next": lambda: min(self._slider.max, self._slider.value + 1),
            "Last": lambda: self._slider.max,
        }
        made = []
        for name, goal in moves.items():
            button = ipywidgets.Button(description=name, tooltip=f"{name} step", style=style, layout=layout)
            button.on_click(lambda _, goal=goal: setattr(self._slider, "value", goal()))
            made.append(button)
        made[2:2] = self._play(layout)
        return ipywidgets.HBox([*made, self._slider], layout=ipywidgets.Layout(flex_flow="row wrap"))

    def _play(self, layout: ipywidgets.Layout) -> list[ipywidgets.Widget]:
        """Return a button that plays the steps.

        The buttons of ipywidgets' own Play control have no names, so only its clock is used, if a program can start it.
        """
        play = ipywidgets.Play(min=0, max=self._slider.max, value=self._slider.value, interval=1200, show_repeat=False)
        link((play, "value"), (self._slider, "value"))
        if not play.has_trait("playing"):
            return [play]
        play.layout.display = "none"
        toggle = ipywidgets.ToggleButton(description="Play", tooltip="Play the steps", layout=layout)
        link((toggle, "value"), (play, "playing"))
        toggle.observe(lambda change: self._from_the_start() if change.new else None, "value")
        return [toggle, play]

    def _from_the_start(self) -> None:
        if self._slider.value == self._slider.max:
            self._slider.value = 0

    def _pages(self, wide: ipywidgets.Layout) -> list[ipywidgets.Widget]:
        row = ipywidgets.Layout(flex_flow="row wrap")
        same = {"layout": ipywidgets.Layout(width="17em")}
        self._part = ipywidgets.Text(description="Name", placeholder="part of a name", **same)
        self._sort = ipywidgets.Dropdown(description="Order", options=list(SORTS), **same)
        self._only = ipywidgets.Dropdown(description="Show", options=list(FILTERS), style=self._sort.style, **same)
        for control in (self._part, self._sort, self._only):
            control.observe(lambda change: self._redraw("Owners"), "value")
        known = names(self._report.ledger)[:MOST_NAMES]
        self._what = ipywidgets.Combobox(
            description="Name",
            placeholder="a tensor, layer or variable",
            options=known,
            continuous_update=False,
            style=self._part.style,
            layout=ipywidgets.Layout(width="28em"),
        )
        self._what.observe(lambda change: self._redraw("Lookup"), "value")
        above = {"Owners": [self._part, self._sort, self._only], "Lookup": [self._what]}
        if self._tell is not None:
            above["Decode"] = decode_controls(self._tell, self._say, style=self._part.style)
        return [
            ipywidgets.VBox([ipywidgets.HBox(above[title], layout=row), self._html[title]], layout=wide)
            if title in above
            else self._html[title]
            for title in self._titles
        ]

    def _say(self, told: Markup) -> None:
        self._told = told
        self._redraw("Decode")

    # -- drawing -----------------------------------------------------------------------------------------------------

    def _draw_title(self) -> None:
        styles = tag("style", Markup(asset("report.css") + asset("widget.css")), onload=_MEND)
        self._html[""].value = tag("div", styles, title_html(self._report), class_="s2s")

    def _stepped(self) -> None:
        self._stale |= STEPPED
        self._draw()

    def _redraw(self, title: str) -> None:
        self._stale.add(title)
        self._draw()

    def _draw(self) -> None:
        """Draw the visible page if it is out of date; the others wait until they are opened."""
        title = self._titles[self._tabs.selected_index or 0]
        if title in self._stale:
            self._stale.discard(title)
            self._html[title].value = tag("div", getattr(self, f"_draw_{title.lower()}")(), class_="s2s s2s-page")

    def _draw_steps(self) -> Markup:
        return steps_html(self._report, self._slider.value)

    def _draw_owners(self) -> Markup:
        tree = owners_html_at(
            self._report, self._slider.value, part=self._part.value, sort=self._sort.value, only=self._only.value
        )
        return join([tree, findings_html(self._report)])

    def _draw_wiring(self) -> Markup:
        if self._plan is None:
            self._plan = plan_wiring(self._report.ledger)
        now = self._slider.value
        return frame(Markup(draw(self._plan, after=now, focus=now)), "The wiring")

    def _draw_training(self) -> Markup:
        return training_html(changed(self._report, training=self._report.ledger.training, fitted=True))

    def _draw_lookup(self) -> Markup:
        if not self._what.value.strip():
            return tag("p", "Choose a name of the code, or type one, to be told who owns it and whether it is trained.")
        try:
            return Markup(explanation_html(explain(self._report.ledger, self._what.value.strip())))
        except LookupFailed as error:
            return tag("p", str(error))

    def _draw_inference(self) -> Markup:
        assert self._inference is not None
        return Markup(comparison_html(side_by_side(self._report.ledger, self._inference)))

    def _draw_decode(self) -> Markup:
        return self._told or tag("p", UNASKED)

    def update(self, ledger: Ledger, *, over: bool = False) -> None:
        """Show a ledger with new evidence, at the same step; when the fit is ``over``, on the static page too."""
        shown = self._report
        self._report = report(ledger, after=shown.after if shown.steps else None, training=shown.fitted)
        self._page = page_display(changed(self._report, training=ledger.training, fitted=self._report.fitted or over))
        self._plan = None
        self._draw_title()
        self._stale = set(self._titles)
        self._draw()
        if over and self._handles is not None:
            self._handles[0].update(standing_in(self._page))

    # -- display -----------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Display the static page and, below it, the widget: one of them is seen, the page where no kernel is left.

        They are two outputs because a front-end that knows widgets shows nothing else of an output that has one, even
        if its kernel is gone.
        """
        page = display(standing_in(self._page), display_id=True)
        self._handles = (page, display(self._bundle(), raw=True, display_id=True))

    def retire(self) -> None:
        """Close it with all its parts; in the cell that showed it, its page stays."""
        if self._handles is not None:
            self._handles[1].update({"text/plain": ""}, raw=True)
        close_tree(self)

    def _ipython_display_(self) -> None:
        self.show()

    def _bundle(self) -> dict[str, Any]:
        """Return the widget, and what is shown in its place where it is not known or not trusted."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        words = f"The inspector of {self._report.name} needs its kernel: %seq2seq inspect NAME --widget opens it."
        return {"text/plain": words, "text/html": tag("p", words), WIDGET_VIEW: view}
