"""Show the effect of fitting as HTML: the runs, the curves, and what became of each variable."""

from __future__ import annotations

from s2s_magic.ledger import Evidence
from s2s_magic.ledger.verdicts import NOTES, RULES
from s2s_magic.ledger.words import counted, number_text
from s2s_magic.view.evidence_words import batch_text, end_text, kernels_text, measured, run_name, shares, told
from s2s_magic.view.html.charts import key_html, loss_charts, owner_charts
from s2s_magic.view.html.markup import Markup, breakable, heading, join, table, tag
from s2s_magic.view.linked import where
from s2s_magic.view.report import Report
from s2s_magic.view.summary import outcomes
from s2s_magic.view.tables import Table


def training_html(report: Report) -> Markup:
    """Show the effect of fitting: the runs, the curves, a table of all variables, and in words what did not train."""
    evidence = report.training
    if evidence is None or not evidence.runs:
        return join([heading("Training"), tag("p", "Nothing was fitted yet.")])
    said = told(report, evidence)
    multiples = [
        tag(
            "div",
            tag("div", tag("b", breakable(owner)), key_html(names), class_="s2s-multiple-name"),
            tag("div", *charts, class_="s2s-charts"),
            class_="s2s-multiple",
        )
        for owner, names, charts in owner_charts(report, evidence)
    ]
    return join(
        [
            heading("Training"),
            tag("p", tag("b", f"{counted(len(report.variables), 'variable')}: {outcomes(report)}."))
            if report.variables
            else None,
            tag("ul", *(tag("li", text) for text in said)) if said else None,
            tag("div", *loss_charts(evidence.history), class_="s2s-charts"),
            *multiples,
            table(measured(report, evidence, lines=True)),
            rules_html(),
            _shares(report, evidence),
            _runs(evidence),
        ]
    )


def rules_html() -> Markup:
    """Show the rules for verdicts, folded away."""
    terms = [part for rule in RULES for part in (tag("dt", rule.verdict), tag("dd", rule.words))]
    return tag(
        "details",
        tag("summary", "How a verdict is decided"),
        tag("p", "The first of these that is true of a fit:"),
        tag("dl", *terms, class_="s2s-rules"),
        *(tag("p", note) for note in NOTES),
        class_="s2s-small",
    )


def _shares(report: Report, evidence: Evidence) -> Markup | None:
    rows = []
    for share, variable, source in shares(report, evidence):
        bar = tag("span", class_="s2s-bar", style=f"width:{share.share:.0%}", aria_hidden="true")
        call = tag("span", f"{where(report, [share.event])}: ", tag("code", source))
        part = tag("span", f"{share.share:.0%} ", tag("span", bar, class_="s2s-bar-frame"))
        rows.append((variable.full_name, call, number_text(share.norm), part))
    caption = "Where a shared variable’s gradient came from, on one batch"
    return table(Table(caption, ("Variable", "Call", "Gradient norm", "Share"), rows, right=(2,))) if rows else None


def _runs(evidence: Evidence) -> Markup:
    rows = [
        (
            *(run_name(run, number), run.epochs, run.steps, batch_text(run), f"{run.seconds:.1f} s"),
            *(run.optimizer, end_text(run) or "ran through", kernels_text(run) or "–"),
        )
        for number, run in enumerate(evidence.runs, 1)
    ]
    head = ("Fit", "Epochs", "Steps", "Batch", "Time", "Optimizer", "End", "Kernels")
    return table(Table("The runs", head, rows, right=(1, 2, 3, 4)))
