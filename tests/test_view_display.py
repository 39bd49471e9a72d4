"""What a notebook gets to display."""

import subprocess
import sys

from ledgers import large_ledger, translator_ledger
from s2s_magic.ledger.compare import compare
from s2s_magic.ledger.explain import explain
from s2s_magic.view.bundles import Display, report_display, show_comparison, show_explanation


def test_every_display_carries_text_markdown_and_html():
    ledger = translator_ledger()
    displays = (
        show_explanation(explain(ledger, "embeddings")),
        show_comparison(compare(ledger, large_ledger(3, 12))),
    )
    for display in displays:
        bundle = display._repr_mimebundle_()
        assert list(bundle) == ["text/plain", "text/markdown", "text/html"]
        assert repr(display) == bundle["text/plain"]
        assert bundle["text/html"].startswith("<div")
        fence, *lines, end = bundle["text/markdown"].rstrip().split("\n")
        assert (fence, end) == ("```text", "```")
        assert lines == bundle["text/plain"].rstrip().split("\n")
    assert list(report_display(ledger)._repr_mimebundle_()) == ["text/plain", "text/markdown", "text/html"]


def test_what_is_shown_cannot_end_its_fence_in_markdown():
    bundle = Display(lambda: "one\n````\n# two", lambda: "")._repr_mimebundle_()
    assert bundle["text/markdown"] == "`````text\none\n````\n# two\n`````\n"


def test_a_display_makes_its_html_only_when_it_is_asked_for():
    asked = []
    display = Display(lambda: "text", lambda: asked.append("html") or "<p>html</p>", {"application/x": 1})
    assert repr(display) == "text"
    assert asked == []
    assert display._repr_mimebundle_()["application/x"] == 1
    assert asked == ["html"]


def test_showing_one_report_twice_gives_different_ids():
    first, second = (report_display(translator_ledger())._repr_mimebundle_()["text/html"] for _ in range(2))
    assert first != second


def test_text_needs_no_heavy_package_and_html_no_tensorflow():
    code = (
        "import sys; from ledgers import translator_ledger; from s2s_magic.view import report, to_html, to_text;"
        "shown = report(translator_ledger()); to_text(shown);"
        "print([name for name in ('tensorflow', 'ipywidgets', 'matplotlib', 'numpy') if name in sys.modules]);"
        "to_html(shown); print([name for name in ('tensorflow', 'ipywidgets') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=__file__.rpartition("/")[0]
    )
    assert done.stdout.split() == ["[]", "[]"]
