"""The report as HTML: self-contained, escaped, accessible, and small."""

import base64
import json
import re
import zlib
from functools import cache
from html.parser import HTMLParser

import pytest
from bs4 import BeautifulSoup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledgers import large_ledger, translator_ledger
from s2s_magic.ledger import Cell, Ledger
from s2s_magic.ledger.compare import compare
from s2s_magic.ledger.explain import explain
from s2s_magic.ledger.whole import LONGEST
from s2s_magic.view import report, to_html
from s2s_magic.view.bundles import report_display
from s2s_magic.view.comparison import comparison_html
from s2s_magic.view.explained import explanation_html
from s2s_magic.view.html.charts import chart
from s2s_magic.view.html.listing import marked
from s2s_magic.view.linked import things_of
from s2s_magic.view.wiring.drawing import Moment, badges, parts, plan_wiring

pytestmark = pytest.mark.once

VOID = {"wbr", "input", "meta", "br", "img", "link"}


class Strict(HTMLParser):
    """Fails if an element is not closed by its own end tag."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.text = []

    def handle_data(self, data):
        self.text.append(data)

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(html):
    parser = Strict()
    parser.feed(html)
    assert parser.open == []
    return BeautifulSoup(html, "html.parser")


@pytest.fixture(scope="module")
def translator():
    return report(translator_ledger(training=True), training=True)


@pytest.fixture(scope="module", params=["fragment", "page", "large", "comparison", "explanation"])
def any_view(request, translator):
    return {
        "fragment": lambda: to_html(translator),
        "page": lambda: to_html(translator, page=True),
        "large": lambda: to_html(report(large_ledger(50, 400)), page=True),
        "comparison": lambda: comparison_html(compare(translator_ledger(), large_ledger(4, 20))),
        "explanation": lambda: explanation_html(explain(translator_ledger(), "embeddings")),
    }[request.param]()


def test_every_table_has_a_caption_and_scoped_headers(any_view):
    tables = read(any_view).find_all("table")
    assert tables
    for table in tables:
        assert table.caption is not None
        assert table.caption.get_text().strip()
        assert all(head.get("scope") in ("row", "col", "rowgroup") for head in table.find_all("th"))
        assert all(row.find("th") for row in table.find_all("tr"))


def test_every_id_is_there_once_and_every_label_has_its_control(any_view):
    page = read(any_view)
    ids = [element["id"] for element in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {label["for"] for label in page.find_all("label")} <= set(ids)


def test_nothing_is_asked_of_the_network(any_view):
    page = read(any_view)
    assert not page.find_all(["img", "link", "iframe", "object", "embed", "base", "form"])
    assert not page.find_all(src=True)
    assert all(element["href"].startswith("#") for element in page.find_all(href=True))
    style = " ".join(element.get_text() for element in page.find_all("style"))
    assert "@import" not in style
    assert "url(" not in style
    assert not re.search(r"https?://", any_view.replace("http://www.w3.org/2000/svg", ""))


def test_styles_stay_inside_the_display(translator):
    style = read(to_html(translator)).find("style").get_text()
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    rules = [each.strip() for each in re.findall(r"([^{}]+)\{", style)]
    selectors = ",".join(rule for rule in rules if not rule.startswith("@"))
    selectors = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\([^()]*\)[^()]*\)", "", selectors))
    assert [each for each in selectors.split(",") if not each.strip().startswith((".s2s", "#s"))] == []


def test_a_page_is_a_whole_document(translator):
    html = to_html(translator, page=True)
    assert html.startswith("<!DOCTYPE html>")
    assert read(html).html["lang"] == "en"


def test_two_displays_of_one_report_share_no_id_and_no_radio_group(translator):
    first, second = (read(to_html(translator, number=number)) for number in (1, 2))
    for attribute in ("id", "name"):
        here, there = ({e[attribute] for e in page.find_all(attrs={attribute: True})} for page in (first, second))
        assert here
        assert not here & there


def test_the_same_report_gives_the_same_html(translator):
    assert to_html(translator) == to_html(report(translator_ledger(training=True), training=True))


def test_every_step_has_a_named_radio_button_and_a_sentence_and_the_last_is_chosen(translator):
    page = read(to_html(translator))
    radios = page.find_all("input", type="radio")
    assert len(radios) == len(page.find_all(class_="s2s-head")) == len(page.select("tbody.s2s-step")) == 14
    assert [radio["id"].endswith("-r13") for radio in radios if radio.has_attr("checked")] == [True]
    name = page.find(id=radios[5]["aria-labelledby"]).get_text()
    assert name == "Step 5 · line 7: Call 2 of embeddings creates nothing: it uses the same 1 variable again."


def test_new_and_again_are_said_in_words(translator):
    page = read(to_html(translator))
    (row,) = page.select(".s2s-tree tr.n4")
    assert "+ new" in row.get_text()
    assert "u5" in row["class"]
    assert "↻ reused" in row.get_text()


def test_the_code_marks_the_expression_of_each_step_and_not_the_whole_line(translator):
    page = read(to_html(translator))
    assert [mark.get_text() for mark in page.select("code [data-is=s5]")] == ["embeddings(decoder_inputs)"]
    assert page.select_one(".s2s-source code [data-is=s11]").get_text() == "decoder("


def test_the_tree_knows_an_owner_s_sum_at_each_stage(translator):
    rows = {row.th.get_text().split()[0]: row for row in read(to_html(translator)).select(".s2s-tree tbody tr")}
    decoder = rows["decoder"].find_all("td")[1].find_all("span")
    assert [(stage.get_text(), stage["class"]) for stage in decoder] == [
        ("0", ["b10", "x11", "s2s-past"]),
        ("1,122,404", ["b11"]),
    ]


def test_training_says_what_did_not_move_and_whose_gradient_came_from_where(translator):
    text = read(to_html(translator)).get_text(" ")
    assert "encoder.cell.bias did not move, though it got a gradient (on all 192 steps, norm at most 0.08)." in text
    assert "97 of 100 rows moved" in text
    assert "71%" in text
    assert len(read(to_html(translator)).select("svg.s2s-chart title")) == 2 + 4 * 3


@pytest.mark.parametrize(
    ("curve", "ends"),
    [
        ((4.6049, 4.6), ["4.600", "4.605"]),
        ((4.61, 4.6), ["4.60", "4.61"]),
        ((0.5, 0.25), ["0.25", "0.5"]),
        ((100.4, 100.1), ["100.1", "100.4"]),
        ((103.0, 101.0), ["101", "103"]),
        ((2.0, 2.0), ["2"]),
    ],
)
def test_the_ends_of_an_axis_differ_and_have_as_many_digits(curve, ends):
    words = [text.get_text() for text in read(chart("loss", {"loss": curve})).select("text[text-anchor=end]")]
    assert words[0] == "2", "the last epoch"
    assert words[1 : 1 + len(ends)] == ends


def test_the_wiring_is_drawn_in_it(translator):
    assert read(to_html(translator)).select_one("svg.s2s-wiring") is not None


def test_a_large_report_is_folded_and_still_has_every_step():
    page = read(to_html(report(large_ledger(50, 1200))))
    rows = [
        int(row.th.get_text()) for table in page.select("table.s2s-compact")[:3] for row in table.select("tbody tr")
    ]
    assert rows == list(range(1200))
    assert not page.find_all("input")


def test_an_empty_ledger_is_shown_as_one():
    assert "Nothing was recorded." in read(to_html(report(Ledger("nothing")))).get_text()


# -- size, and where styles and scripts are removed ------------------------------------------------------------------


def test_a_report_is_less_than_120_kilobytes_of_a_notebook(translator):
    bundle = report_display(translator.ledger, training=True)._repr_mimebundle_()
    assert sum(len(form.encode()) for form in bundle.values()) < 120_000


def kept(ledger):
    """Return what a notebook keeps of a ledger's report: its forms and their size."""
    forms = report_display(ledger)._repr_mimebundle_()
    return forms, sum(len(form.encode()) for form in forms.values())


def unpacked(html):
    """Return the page in a packed one, and what can be pointed at on it."""
    (script,) = read(html).find_all("script")
    (data,) = re.findall(r"'([\w+/=]{1000,})'", script.string)
    return json.loads(zlib.decompress(base64.b64decode(data)))


@pytest.mark.parametrize(("layers", "events"), [(20, 60), (20, 120), (60, 300), (50, 1200), (2000, 10_000), (1, 1)])
def test_whatever_a_model_is_it_is_less_than_120_kilobytes_of_a_notebook(layers, events):
    forms, size = kept(large_ledger(layers, events))
    assert size < 120_000
    assert all("large" in form for form in forms.values())
    read(forms["text/html"])


def test_with_its_fits_the_model_of_one_cell_is_kept_as_a_page_that_needs_no_script():
    display = report_display(translator_ledger(training=True), training=True)
    html = display._repr_mimebundle_()["text/html"]
    assert len(read(html).select(".s2s-strip input")) == 14
    assert "Call 2 of embeddings creates nothing" in html


def test_long_names_are_no_more_either(translator):
    ledger = renamed(translator.ledger, "x" * (LONGEST // 2 - 1))
    forms, size = kept(ledger)
    assert size < 120_000
    read(forms["text/html"])


def test_a_packed_page_has_all_of_the_page(translator):
    whole, packed = to_html(translator), to_html(translator, most=60_000)
    assert len(packed.encode()) <= 60_000 < len(whole.encode())
    page, things = unpacked(packed)
    assert whole.startswith(f'<div class="s2s" id="{read(whole).div["id"]}">{page}<script>')
    assert set(things) == set(things_of(translator, plan_wiring(translator.ledger).graph))
    outline = read(packed).get_text(" ")
    for words in ("decoder_cell LSTMCell", "embeddings is called twice", "%seq2seq inspect translator --html FILE"):
        assert words in outline


def test_what_a_notebook_keeps_of_a_long_text_has_its_beginning_and_end_and_what_is_printed_is_whole():
    display = report_display(large_ledger(50, 1200))
    printed, text = repr(display).splitlines(), display._repr_mimebundle_()["text/plain"].splitlines()
    (place,) = (number for number, line in enumerate(text) if line.startswith("…"))
    assert text[: place - 1] == printed[: place - 1]
    assert text[place + 2 :] == printed[-len(text[place + 2 :]) :]
    assert f"{len(printed) - len(text) + 3:,} lines are left out" in text[place]
    assert "OWNERS AFTER STEP 1199" in printed


def plain(html):
    """Return a page as GitHub shows it: no style, no script, no drawing's elements, and few attributes."""
    page = read(html)
    for element in page.find_all(["style", "script"]):
        element.decompose()
    for element in page.find_all(True):
        element.attrs = {key: value for key, value in element.attrs.items() if key in ("open", "scope", "colspan")}
        if element.name in ("svg", "g", "path", "rect", "text", "title", "desc", "input", "section", "fieldset"):
            element.unwrap()
    return page


def test_without_styles_a_page_is_owners_and_findings_and_the_rest_is_folded(translator):
    page = plain(to_html(translator))
    assert page.find("details")
    for fold in page.find_all("details"):
        assert not fold.has_attr("open")
        fold.clear()
    rows = page.find_all(["tr", "li"])
    assert len(rows) < 15
    text = page.get_text(" ")
    assert len(text) < 1200
    for words in ("translator", "Who owns what at the end", "decoder_cell LSTMCell", "embeddings is called twice"):
        assert words in text


def test_without_styles_many_owners_are_folded_too():
    page = plain(to_html(report(large_ledger(60, 200))))
    assert "Show all 59 owners" in page.get_text()
    for fold in page.find_all("details"):
        fold.clear()
    assert len(page.find_all(["tr", "li"])) <= 20


def test_the_script_s_data_cannot_end_the_script(translator):
    name = "</script><b>\u2028<!--"
    page = read(to_html(report(renamed(translator.ledger, name))))
    (script,) = page.find_all("script")
    data = script.string.rpartition(")('")[2].partition(",")[2].removesuffix(");")
    assert "<" not in data
    assert any(name.replace("\u2028", "") in said.replace("\u2028", "") for said, *_ in json.loads(data).values())


def test_every_mark_of_the_page_lights_something_and_every_light_is_there(translator):
    page = read(to_html(translator))
    marks = {mark for element in page.find_all(attrs={"data-is": True}) for mark in element["data-is"].split()}
    things = things_of(translator, plan_wiring(translator.ledger).graph)
    assert {re.sub("^[br]", "o", mark) for mark in marks} == things.keys()
    assert {mark for thing in things.values() for mark in thing.lights} <= marks
    assert all(thing.steps for thing in things.values())


# -- escaping --------------------------------------------------------------------------------------------------------

HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<img src=x onerror=alert(1)>",
            "\"><script>alert(1)</script>",
            "' onmouseover='alert(1)",
            "</style><script>alert(1)</script>",
            "</script><b>",
            "&lt;b&gt;",
            "<!--",
            "]]>",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
)  # fmt: skip


def renamed(ledger, name):
    """Return a ledger with every name that users can choose replaced by ``name``."""
    document = ledger.to_dict()

    def rename(value):
        if isinstance(value, dict):
            names = (
                "name",
                "layer",
                "owner",
                "keras_name",
                "source",
                "text",
                "title",
                "initializer",
                "class",
                "frozen_by",
            )
            return {
                key: name if key in names and isinstance(inner, str) else rename(inner) for key, inner in value.items()
            }
        return [rename(inner) for inner in value] if isinstance(value, list) else value

    document = rename(document)
    for record in (*document["layers"].values(), *document["variables"].values()):
        record["in_models"] = [name for _ in record["in_models"]]
    document["cells"][0]["text"] = f"{name}\n" * 30
    document["variables"] = {key: {**v, "paths": [f"{name}.{name}", name]} for key, v in document["variables"].items()}
    return Ledger.from_dict(document)


def page_of(large, name):
    """Read the page of a ledger, large or not, in which every name that a user can choose is ``name``."""
    ledger = large_ledger(8, 320) if large else translator_ledger()
    return read(to_html(report(renamed(ledger, name), training=True), page=True))


@cache
def harmless(large):
    """Return the kinds of elements on a page with plain names, and how many of them are scripts."""
    page = page_of(large, "plain")
    return {element.name for element in page.find_all()}, len(page.find_all("script"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=HOSTILE, large=st.booleans())
def test_whatever_a_layer_is_called_it_shows_as_text(name, large):
    page = page_of(large, name)
    allowed, scripts = harmless(large)
    assert {element.name for element in page.find_all()} <= allowed
    assert len(page.find_all("script")) == scripts
    assert not [element for element in page.find_all() for key in element.attrs if key.startswith("on")]
    wanted = " ".join(name.split())
    assert wanted == " ".join(page.find(class_="s2s-name").get_text().split())


@given(name=HOSTILE)
@settings(max_examples=20, deadline=None)
def test_whatever_is_explained_or_compared_shows_as_text(name):
    ledger = renamed(translator_ledger(), name)
    page = read(comparison_html(compare(ledger, translator_ledger())))
    assert not page.find_all(["script", "img", "b"])[1:]
    assert {element.name for element in page.find_all(["script", "img"])} == set()


# -- marks in the code -----------------------------------------------------------------------------------------------


def test_nested_expressions_are_marked_inside_each_other():
    html = marked("Dense(3)(Dense(4)(x))", {(0, 21): ["e3"], (0, 8): ["e0"], (9, 20): ["e2"], (9, 17): ["e1"]})
    assert html == (
        '<span class="e3"><span class="e0">Dense(3)</span>('
        '<span class="e2"><span class="e1">Dense(4)</span>(x)</span>)</span>'
    )


@given(
    text=st.text(st.sampled_from("ab<&é𝄞 "), max_size=12),
    spans=st.dictionaries(
        st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda pair: pair[0] < pair[1]),
        st.just(["e1"]),
        max_size=6,
    ),
)
def test_marks_never_change_the_text_and_are_always_well_formed(text, spans):
    spans = {(start, min(stop, len(text))): classes for (start, stop), classes in spans.items() if start < len(text)}
    reader = Strict()
    reader.feed(marked(text, spans))
    assert reader.open == []
    assert "".join(reader.text) == text


def test_a_mark_in_a_line_with_umlauts_stands_where_it_should():
    text = "größe = embeddings(x)"
    ledger = translator_ledger()
    event = ledger.events[4].model_copy(
        update={"line": 1, "end_line": 1, "column": 8, "end_column": 21, "source": "embeddings(x)"}
    )
    moved = Ledger(
        "m", cells=[Cell(number=1, text=text)], events=[*ledger.events[:4], event], layers=ledger.layers,
        variables=ledger.variables,
    )  # fmt: skip
    page = read(to_html(report(moved)))
    assert page.select_one("code [data-is=s4]").get_text() == "embeddings(x)"


# -- the wiring as it grows ------------------------------------------------------------------------------------------


def _shown(svg, step):
    """Return the parts of a growing drawing that CSS shows at a step."""
    parts = []
    for group in svg.find_all("g", recursive=False):
        classes = " ".join(group["class"])
        first = int((re.search(r"\bb(\d+)", classes) or [0, 0])[1])
        end = re.search(r"\bx(\d+)", classes)
        if first <= step and (end is None or step < int(end[1])):
            parts.append(group.decode_contents())
    return parts


def test_the_static_wiring_at_any_step_is_the_wiring_drawn_for_that_step(translator):
    svg = read(to_html(translator)).select_one("svg.s2s-wiring")
    plan = plan_wiring(translator.ledger)
    for step in range(14):
        moment = Moment(step, step)
        drawn = read("".join([*parts(plan, Moment(step, -1)), *badges(plan, moment)])).decode()
        assert "".join(_shown(svg, step)) == drawn


def test_a_long_cell_s_wiring_is_drawn_once():
    page = read(to_html(report(large_ledger(10, 70))))
    assert page.find("input", type="radio")
    assert not page.select("svg.s2s-wiring > g.s2s-past")
