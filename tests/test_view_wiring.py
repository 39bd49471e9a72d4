"""The wiring as a graph, as SVG and as PNG."""

import io
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgers import Sketch, large_ledger, translator_ledger
from s2s_magic.ledger import Ledger, ModelRecord, Tensor
from s2s_magic.view.wiring.diagram import Graph, Link, Node
from s2s_magic.view.wiring.drawing import plan_wiring, to_svg
from s2s_magic.view.wiring.folding import fold
from s2s_magic.view.wiring.from_ledger import graph_of
from s2s_magic.view.wiring.placement import lay_out
from s2s_magic.view.wiring.png import to_png

SVG = "{http://www.w3.org/2000/svg}"
EMBEDDING_MADE, FIRST_CALL, SECOND_CALL, DECODER_MADE, DECODER_CALLED, MODEL_MADE = 3, 4, 5, 10, 11, 13


def words(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def titles(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}title")]


def node_named(graph, label):
    return next(node for node in graph.nodes.values() if node.label == label)


def chain(blocks, classes, trainable=True):
    """Return the ledger of a chain of layers of these classes, repeated ``blocks`` times."""
    count = blocks * len(classes)
    s = Sketch("deep", "\n".join(f"x{n} = make(); y{n} = layer{n}(x)" for n in range(count + 1)))
    s.constructed(s.layer("x", "InputLayer"), "make()", outputs=[("t0", (None, 8), "float32")])
    for number in range(count):
        key = s.layer(f"layer{number}", classes[number % len(classes)])
        s.constructed(key, "make()")
        made = s.variable(key, "kernel", (8, 8), key, trainable=trainable)
        s.called(key, f"layer{number}(x)", (f"t{number}",), [(f"t{number + 1}", (None, 8), "float32")], (made,))
    ends = s.wires((f"t{count}",))
    model = s.layer("model", "Functional", own_weights=tuple(s.variables))
    event = s.constructed(model, "make()", ends=ends)
    s.models.append(ModelRecord(name="model", object=model, event=event, outputs=ends, trainable=0, total=0))
    return s.ledger()


def test_a_layer_called_twice_is_one_node_with_a_wire_for_each_call():
    graph = graph_of(translator_ledger())
    embeddings = node_named(graph, "embeddings")
    assert sorted(link.target_call for link in graph.links if link.target == embeddings.key) == [1, 2]
    assert sorted(link.source_call for link in graph.links if link.source == embeddings.key) == [1, 2]
    assert "×2" in words(to_svg(translator_ledger()))
    assert "×2" not in words(to_svg(translator_ledger(), after=FIRST_CALL))


def test_inputs_and_outputs_are_marked_in_words():
    shown = words(to_svg(translator_ledger()))
    assert shown.count("input") == 3
    assert shown[shown.index("Y_proba") + 1] == "output"


def test_what_an_object_holds_stands_inside_its_box():
    plan = plan_wiring(translator_ledger())
    decoder = node_named(plan.graph, "decoder")
    assert [inner.label for inner in decoder.inner] == ["decoder_cell", "output_layer"]
    assert "decoder_cell" not in {node.label for node in plan.graph.nodes.values()}
    box = plan.layout.boxes[decoder.key]
    drawing = ElementTree.fromstring(to_svg(translator_ledger()))
    inner = [text for text in drawing.iter(f"{SVG}text") if text.text in ("decoder_cell", "output_layer")]
    assert [text.text for text in inner] == ["decoder_cell", "output_layer"]
    for text in inner:
        assert box.x < float(text.get("x")) < box.x + box.width
        assert box.y < float(text.get("y")) < box.bottom


def test_a_cell_is_drawn_before_the_decoder_that_will_hold_it():
    before = words(to_svg(translator_ledger(), after=DECODER_MADE - 2))
    assert "decoder_cell" in before
    assert "decoder" not in before
    assert "decoder" in words(to_svg(translator_ledger(), after=DECODER_MADE))


def test_nodes_keep_their_places_while_the_graph_grows():
    def places(after):
        drawing = ElementTree.fromstring(to_svg(translator_ledger(), after=after))
        return {text.text: (text.get("x"), text.get("y")) for text in drawing.iter(f"{SVG}text")}

    early, late = places(SECOND_CALL), places(MODEL_MADE)
    assert early["embeddings"] == late["embeddings"]
    assert early["encoder_inputs"] == late["encoder_inputs"]
    assert "decoder" not in early


def test_a_layer_owns_nothing_until_its_first_call():
    assert "Embedding · nothing yet" in words(to_svg(translator_ledger(), after=EMBEDDING_MADE))
    assert "Embedding · 1,000" in words(to_svg(translator_ledger(), after=FIRST_CALL))


def test_the_step_in_focus_has_a_label_and_heavier_lines_and_not_colour_alone():
    plain, focused = (to_svg(translator_ledger(), after=SECOND_CALL, focus=f) for f in (None, SECOND_CALL))
    assert "step 5 · line 7" in words(focused)
    assert "step 5 · line 7" not in words(plain)
    assert "call 2" in words(focused)

    def heaviest(svg):
        return max(float(width) for width in re.findall(r'stroke="var[^"]*" stroke-width="([\d.]+)" stroke-o', svg))

    assert heaviest(focused) == 3
    assert "var(--s2s-accent" in focused
    assert not re.search(r'stroke="var[^"]*" stroke-width="[\d.]+" stroke-opacity', plain)


def test_the_gradient_comes_back_from_the_output_to_what_is_trained_and_no_further():
    graph = graph_of(translator_ledger())
    label = {key: node.label for key, node in graph.nodes.items()}
    back = {(label[link.target], label[link.source]) for link in graph.links if link.gradient}
    assert back == {
        ("Y_proba", "tf.nn.softmax"),
        ("tf.nn.softmax", "decoder"),
        ("decoder", "encoder"),
        ("decoder", "embeddings"),
        ("encoder", "embeddings"),
    }


def test_no_gradient_is_drawn_before_there_is_a_model():
    assert "the gradient’s way back" not in titles(to_svg(translator_ledger(), after=MODEL_MADE - 1))
    drawn = to_svg(translator_ledger()).partition("the gradient’s way back</title>")[2].partition("</g>")[0]
    assert drawn.count("M") == 2 * 5  # a line and an arrow's head each


def test_no_gradient_comes_back_to_frozen_layers_and_they_say_so():
    graph = graph_of(chain(2, ["Dense"], trainable=False))
    assert not any(link.gradient for link in graph.links if node_named(graph, "layer1").key != link.source)
    assert any("frozen" in text for text in words(to_svg(chain(2, ["Dense"], trainable=False))))


def test_few_layers_stay_apart_however_alike():
    graph = graph_of(chain(12, ["Dense"]))
    assert fold(graph) == graph


def test_two_hundred_layers_in_a_loop_fold_into_one_block():
    plan = plan_wiring(chain(100, ["Dense", "LayerNormalization"]))
    blocks = [node for node in plan.graph.nodes.values() if node.kind == "block"]
    assert [block.label for block in blocks] == ["100 × Dense, LayerNormalization"]
    assert blocks[0].params == 200 * 64
    assert len(plan.graph.nodes) == 3
    assert plan.layout.height < 500


def test_a_block_grows_with_its_steps():
    ledger = chain(100, ["Dense"])
    calls = [event.index for event in ledger.events if event.kind == "called"]
    halfway = next(t for t in titles(to_svg(ledger, after=calls[49])) if t.startswith("100 × Dense"))
    assert "3,200 parameters" in halfway


def test_two_hundred_layers_that_differ_stay_readable():
    plan = plan_wiring(chain(1, [f"Own{number}" for number in range(200)]))
    assert len(plan.graph.nodes) == 202
    assert min(box.width for box in plan.layout.boxes.values()) >= 100


def test_a_layer_called_on_what_came_out_of_it_is_drawn_with_its_loop():
    s = Sketch("loop", "x = make()\nd = Dense()\ny = d(x)\nz = d(y)")
    s.constructed(s.layer("x", "InputLayer"), "make()", outputs=[("x", (None, 8), "float32")])
    key = s.layer("d", "Dense")
    s.constructed(key, "Dense()")
    s.called(key, "d(x)", ("x",), [("y", (None, 8), "float32")])
    s.called(key, "d(y)", ("y",), [("z", (None, 8), "float32")])
    graph = graph_of(s.ledger())
    assert [(link.source, link.target) for link in graph.links] == [("L0", "L1"), ("L1", "L1")]
    assert "×2" in words(to_svg(s.ledger()))


def test_objects_without_wires_stand_apart():
    s = Sketch("lone", "d = Dense()")
    s.constructed(s.layer("d", "Dense"), "Dense()")
    assert "Not wired" in words(to_svg(s.ledger()))


def test_an_empty_ledger_is_an_empty_drawing():
    assert ElementTree.fromstring(to_svg(Ledger("empty"))).tag == f"{SVG}svg"


@pytest.mark.parametrize("make", [translator_ledger, lambda: large_ledger(200, 1000), lambda: chain(30, ["A", "B"])])
def test_the_same_ledger_is_always_drawn_alike(make):
    ledger = make()
    assert to_svg(ledger) == to_svg(Ledger.from_dict(ledger.to_dict()))


def test_names_are_text_wherever_they_come_from():
    name = "<img src=x onerror=alert(1)>"
    s = Sketch(name, "x = make()")
    s.constructed(s.layer(name, "</svg><script>"), "make()", outputs=[(name, (None, 8), "float32")])
    s.called(s.layer(f"{name}2", "Dense"), "x", (name,), [("&y", (None, 8), "float32")])
    drawing = ElementTree.fromstring(to_svg(s.ledger()))
    assert {element.tag.removeprefix(SVG) for element in drawing.iter()} <= {
        "svg", "title", "desc", "g", "path", "rect", "text",
    }  # fmt: skip
    assert any(name in title for title in titles(to_svg(s.ledger())))


def test_the_drawing_has_no_colours_of_its_own_and_says_what_it_shows():
    svg = to_svg(translator_ledger(), focus=SECOND_CALL)
    colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))
    assert {c for c in colours if not c.startswith("var(")} == {"none", "currentColor"}
    drawing = ElementTree.fromstring(svg)
    assert drawing.get("role") == "img"
    assert drawing[0].text == "Wiring of translator"
    assert "embeddings → encoder: encoder_embeddings" in drawing[1].text


def test_png_is_the_same_drawing_in_dots():
    buffer = io.BytesIO()
    to_png(translator_ledger(), buffer, focus=DECODER_CALLED)
    assert buffer.getvalue().startswith(b"\x89PNG")
    width, height = (int.from_bytes(buffer.getvalue()[at : at + 4], "big") for at in (16, 20))
    drawing = ElementTree.fromstring(to_svg(translator_ledger()))
    assert (width, height) == (2 * int(drawing.get("width")), 2 * int(drawing.get("height")))
    assert len(buffer.getvalue()) < 200_000


@st.composite
def graphs(draw):
    """Draw graphs of up to 25 nodes, with cycles and parallel wires."""
    count = draw(st.integers(1, 25))
    keys = [f"n{number}" for number in range(count)]
    kinds = st.sampled_from(["input", "layer", "operation", "output"])
    nodes = {key: Node(key, draw(kinds), key, "Dense", 0, 0) for key in keys}
    pairs = draw(st.lists(st.tuples(st.sampled_from(keys), st.sampled_from(keys)), max_size=40))
    tensor = Tensor(name="t", shape=(None,), dtype="float32")
    return Graph(nodes, tuple(Link(a, b, ((0, tensor),)) for a, b in pairs))


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_no_two_boxes_overlap_and_every_wire_ends_at_its_boxes(graph):
    layout = lay_out(graph)
    boxes = list(layout.boxes.values())
    assert set(layout.boxes) == set(graph.nodes)
    for at, one in enumerate(boxes):
        assert one.x >= 0
        assert one.x + one.width <= layout.width
        assert one.bottom <= layout.height
        for other in boxes[at + 1 :]:
            apart = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart or one.bottom <= other.y or other.bottom <= one.y
    for link, route in zip(graph.links, layout.routes, strict=True):
        source, target = layout.boxes[link.source], layout.boxes[link.target]
        assert source.x <= route[0][0] <= source.x + source.width
        assert target.x <= route[-1][0] <= target.x + target.width
        assert target.y <= route[-1][1] <= target.bottom
