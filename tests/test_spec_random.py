"""Random specs, most of them valid: each valid one is built with the predicted sizes, and trains for a step."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s2s_magic
from s2s_magic.errors import BuildError, SpecError
from s2s_magic.memory import memory_left
from s2s_magic.source import generate
from s2s_magic.spec import parse_spec
from s2s_magic.spec.sizes import params_by_owner


@st.composite
def specs(draw):
    """Draw a spec of a small model; about one in four has settings that conflict."""

    def pick(*options):
        return draw(st.sampled_from(options))

    def cell(kind, units):
        rates = draw(
            st.sampled_from(
                ["", "", ", dropout=0.2", ", recurrent_dropout=0.1", ", dropout=0.1, recurrent_dropout=0.3"]
            )
        )
        return f"{kind}({units}{rates})"

    def stacked(layers, inner):
        return inner if layers == 1 else pick(f"{layers} * {inner}", f"{inner} * {layers}")

    vocab, embed = draw(st.integers(4, 12)), draw(st.integers(1, 5))
    kind, units, layers = pick("lstm", "gru"), draw(st.integers(1, 4)), pick(1, 1, 2, 3)
    two_ways = draw(st.booleans())
    encoder = cell(kind, units)
    encoder = stacked(layers, f"bidirectional({encoder})" if two_ways else encoder)
    same = draw(st.integers(0, 2)) > 0
    decoder = (
        (kind, units * (2 if two_ways else 1), layers)
        if same
        else (pick("lstm", "gru"), draw(st.integers(1, 4)), pick(1, 2))
    )
    bridge = pick("none", "none", "dense", "zero") if same else pick("dense", "dense", "dense", "zero", "none")
    lines = [
        f"vocab: {pick(vocab, f'{{source: {vocab}, target: {vocab + 2}}}')}",
        f"embed: {pick(embed, f'{{source: {embed}, target: {embed + 1}}}')}",
        f"encoder: {encoder}",
        f"decoder: {stacked(decoder[2], cell(*decoder[:2]))}",
        *(["bridge: " + bridge] if bridge != "none" or draw(st.booleans()) else []),
        *([f"share: {pick('false', 'false', 'true')}"] if draw(st.integers(0, 3)) == 0 else []),
        *([f"start: {pick(1, 2, 3)}"] if draw(st.booleans()) else []),
        *([f"end: {pick(0, 2, 'none', 50)}"] if draw(st.integers(0, 3)) == 0 else []),
        *(["padding: 0"] if draw(st.integers(0, 2)) == 0 else []),
        *([f"max_length: {pick(1, 20)}"] if draw(st.integers(0, 3)) == 0 else []),
    ]
    draw(st.randoms()).shuffle(lines)
    return "\n".join(lines)


def read(text):
    try:
        spec = parse_spec(text)
    except SpecError as refused:
        places = [fault.line for fault in refused.faults]
        assert all(places)
        return None
    return spec


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=specs())
def test_every_random_spec_is_read_or_refused_with_places(text):
    spec = read(text)
    if spec is not None:
        compile(generate(spec), "<generated>", "exec")


def test_at_least_half_of_them_are_valid():
    tried = []

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(text=specs())
    def read_one(text):
        tried.append(read(text) is not None)

    read_one()
    assert sum(tried) >= len(tried) / 2


@pytest.mark.slow
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=False)
@given(text=specs().filter(lambda text: read(text) is not None))
def test_a_valid_one_is_built_in_the_size_foretold_and_fits_a_step(text):
    spec = read(text)
    model = s2s_magic.build(f"{text}\ncode: tfa")
    owned: dict[str, int] = {}
    for variable in model.ledger.variables.values():
        owner = "bridge" if variable.owner.startswith("bridge") else variable.owner.partition(".")[0]
        owned[owner] = owned.get(owner, 0) + variable.params
    assert owned == params_by_owner(spec)
    source, target = spec.vocab.source, spec.vocab.target
    numbers = np.random.default_rng(3)
    low = 1 if spec.padding == 0 else 0
    data = {"X": numbers.integers(low, source, (8, 4)), "Y": numbers.integers(low, target, (8, 3))}
    s2s_magic.fit(model, "source: X\ntarget: Y\nbatch: 8", data)
    assert np.isfinite(model.history["loss"]).all()


def test_what_does_not_fit_into_memory_is_refused_before_it_is_made():
    with pytest.raises(BuildError) as caught:
        s2s_magic.build("vocab: 9000000\nembed: 16000\nencoder: lstm(512)\ndecoder: lstm(512)")
    said = str(caught.value)
    for words in (
        "embeddings 576.0 GB",
        "output_layer 18.5 GB",
        "encoder 0.1 GB",
        "leaves",
        "Adam takes three to four times",
    ):
        assert words in said
    assert "\n" not in said


def test_a_limit_of_this_process_refuses_at_once_what_it_has_no_room_for_and_takes_nothing():
    resource = pytest.importorskip("resource")

    def taken():
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmSize:"))
        return 1024 * int(line.split()[1])

    before, (soft, hard) = taken(), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (before + 12_000_000_000, hard))
    start = time.monotonic()
    try:
        with pytest.raises(BuildError) as caught:
            s2s_magic.build("vocab: 1000000\nembed: 2000\nencoder: lstm(512)\ndecoder: lstm(512)\n")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.monotonic() - start < 5
    assert taken() - before < 100_000_000
    for words in (
        "embeddings 8.0 GB",
        "output_layer 2.1 GB",
        "encoder 20.6 MB",
        "decoder_cell 20.6 MB",
        "leaves",
    ):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "left", "said"),
    [
        ({"proc/meminfo": "MemTotal: 99 kB\nMemAvailable: 50 kB\n"}, 51200, "machine"),
        (
            {
                "proc/self/limits": "Max address space         1000000              unlimited            bytes\n",
                "proc/self/status": "VmSize:\t 500 kB\n",
            },
            488000,
            "process",
        ),
        ({"proc/self/limits": "Max address space         unlimited            unlimited            bytes\n"}, None, ""),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/b/memory.current": "7\n",
                "sys/fs/cgroup/a/memory.max": "1000\n",
                "sys/fs/cgroup/a/memory.current": "400\n",
                "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 100\n",
            },
            700,
            "container",
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/\n4:memory:/x\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "900\n",
                "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "300\n",
            },
            600,
            "container",
        ),
        ({}, None, ""),
    ],
)
def test_the_memory_left_is_the_least_that_any_limit_leaves(tmp_path, files, left, said):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = memory_left(tmp_path)
    assert (found[0] if found else None) == left
    assert said in (found[1] if found else "")


def test_something_is_known_of_this_machine():
    left = memory_left()
    assert left is not None
    assert 2**20 < left[0] < 2**50
