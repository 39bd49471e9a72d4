"""A damaged saved folder is refused in one clear line, or loads if nothing that counts was touched.

Everything is read and checked by `read`, without a model: a folder is damaged 2,000 times. The document carries a
checksum; the damages that a hostile author would make renew it.
"""

import json
import os
import random
import resource
import shutil
import struct
import sys

import pytest

from kept_models import KEPT
from s2s_magic.errors import LoadError, Seq2SeqError
from s2s_magic.keeping.kept import DOCUMENT, SCHEMA, TENSORS
from s2s_magic.keeping.opening import checksum, read
from s2s_magic.keeping.sealed import seal

SAVED = {name: (KEPT / "keras2" / name).read_bytes() for name in (DOCUMENT, TENSORS)}
CONTENT = json.loads(SAVED[DOCUMENT])["model"]
HOSTILE = [
    *(None, True, -1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), 0.5, "", "\0", "x" * 100_000),
    *("__import__('os').system('touch /tmp/s2s_ran')", "!!python/object/apply:os.system ['touch /tmp/s2s_ran']"),
    *("../../etc/passwd", "<script>alert(1)</script>", "\ud800", [], {}, [[]], {"a": {}}, [2**62, 2**62]),
    *({"__class__": "os.system"}, "model.json", "weights/../x", "&a [*a, *a]", "%s%s%s{0}"),
]


def places(value, path=()):
    """List every place in a document."""
    found = [path] if path else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        found += places(part, (*path, key))
    return found


PLACES = places(CONTENT)
OWN = [path for path in PLACES if path[0] != "ledger"]  # what is not the ledger's own document


def put(content, path, value):
    """Return the document with another value at a place."""
    copy = json.loads(json.dumps(content))
    here = copy
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    return copy


def flipped(draw, data):
    spoiled = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 50))):
        spoiled[draw.randrange(len(spoiled))] ^= 1 << draw.randrange(8)
    return bytes(spoiled)


def sealed_again(files, tensors):
    """Return files whose document has the checksum of other tensors."""
    content = CONTENT | {"tensors": {"bytes": len(tensors), "sha256": _sha(tensors)}}
    return {**files, DOCUMENT: seal(SCHEMA, content), TENSORS: tensors}


def _sha(data):
    import hashlib

    return hashlib.sha256(data).hexdigest()


def header_of(data):
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_header(header, rest, lie=0):
    said = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", (len(said) + lie) % 2**64) + said + rest


def damaged(draw):
    """Return the files of a folder with one damage, which is told in a word."""
    files = dict(SAVED)
    kind = draw.choice(
        (
            "flip",
            "cut",
            "value",
            "value",
            "value",
            "drop",
            "add",
            "twice",
            "deep",
            "raw",
            "header",
            "shape",
            "swap",
            "lie",
        )
    )
    name = draw.choice((DOCUMENT, TENSORS))
    if kind == "flip":
        files[name] = flipped(draw, files[name])
        if name == TENSORS and draw.random() < 0.5:
            files = sealed_again(files, files[TENSORS])
    elif kind == "cut":
        cut = draw.randrange(len(files[name]))
        files[name] = files[name][:cut] if draw.random() < 0.7 else files[name] + os.urandom(draw.randrange(1, 99))
        if name == TENSORS and draw.random() < 0.5:
            files = sealed_again(files, files[TENSORS])
    elif kind == "value":
        path = draw.choice(OWN if draw.random() < 0.6 else PLACES)
        files[DOCUMENT] = seal(SCHEMA, put(CONTENT, path, draw.choice(HOSTILE)))
    elif kind in ("drop", "add"):
        path = draw.choice(OWN)
        copy = json.loads(json.dumps(CONTENT))
        here = copy
        for key in path[:-1]:
            here = here[key]
        if kind == "drop":
            del here[path[-1]]
        elif isinstance(here, dict):
            here[draw.choice(("extra", "__class__", "schema", "\0"))] = draw.choice(HOSTILE)
        else:
            here.append(draw.choice(HOSTILE))
        files[DOCUMENT] = seal(SCHEMA, copy)
    elif kind == "twice":
        files[DOCUMENT] = files[DOCUMENT].replace(b'"name"', b'"name": "other", "name"', 1)
    elif kind == "deep":
        depth = draw.choice((500, 5_000, 200_000))
        deep = draw.choice((b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth))
        files[DOCUMENT] = draw.choice(
            (deep, files[DOCUMENT].replace(b'"model": {', b'"model": {"x": ' + deep + b", ", 1))
        )
    elif kind == "raw":
        files[name] = draw.choice(
            (b"", b"\0" * 64, b"null", b"[]", b"\xff\xfe{}", b"\x80\x04N.", os.urandom(200), b"PK\3\4")
        )
        if name == TENSORS:
            files = sealed_again(files, files[TENSORS])
    else:
        header, rest = header_of(files[TENSORS])
        tensor = draw.choice(list(header))
        if kind == "header":
            header[tensor] = draw.choice(
                (
                    None,
                    [],
                    {"dtype": "F32"},
                    {**header[tensor], "dtype": draw.choice(("F64", "X9", "", 3, "C64"))},
                    {**header[tensor], "data_offsets": draw.choice(([0, 2**63], [-1, 4], [4, 0], [0], [0, 1e9], "x"))},
                )
            )
        elif kind == "shape":
            shape = draw.choice(([2**62], [2**40, 2**40], [-1], [0], [1] * 5_000, [3.5], ["9"], [2**64], None))
            header[tensor] = {**header[tensor], "shape": shape}
        elif kind == "swap":
            other = draw.choice(list(header))
            header[tensor], header[other] = header[other], header[tensor]
            if draw.random() < 0.3:
                header["pickles/" + tensor] = header.pop(tensor)
        lie = draw.choice((1, -1, 2**40, 2**63, -(2**20))) if kind == "lie" else 0
        said = b"[" * 50_000 if kind == "header" and draw.random() < 0.1 else header
        files = sealed_again(files, with_header(said, rest, lie))
    return kind, files


def write(folder, files):
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def same_weights(kept):
    """Return the tensors and the parts of a model that a damage may not have changed unnoticed."""
    return {name: kept.tensors()(name).tobytes() for name in kept.shapes}


def test_a_whole_folder_is_read(tmp_path):
    kept = read(write(tmp_path / "m", SAVED))
    assert kept.document.name == "m"
    assert kept.spec is not None


def test_two_thousand_damaged_folders_are_refused_in_a_line_or_read_as_they_were(tmp_path):
    draw = random.Random(20)
    folder = tmp_path / "m"
    read(write(folder, SAVED))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {"refused": 0, "read": 0}
    for number in range(2000):
        kind, files = damaged(draw)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        said = None
        try:
            kept = read(folder)
        except Seq2SeqError as error:
            said = str(error)
        outcomes["read" if said is None else "refused"] += 1
        told = said if said is not None else f"{folder} cannot be loaded: "
        assert told.startswith(f"{folder} cannot be loaded: "), (number, kind, told)
        assert told.isprintable(), (number, kind, told)
        assert len(told) < 800, (number, kind)
        assert said is not None or len(same_weights(kept)) == len(kept.shapes)
    assert outcomes["refused"] > 1500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, (
        "kilobytes: nothing huge was allocated"
    )
    assert not os.path.exists("/tmp/s2s_ran"), "nothing of a document is run"


def test_a_flipped_bit_never_passes(tmp_path):
    draw = random.Random(21)
    folder = write(tmp_path / "m", SAVED)
    whole = read(folder)
    for _ in range(300):
        name = draw.choice((DOCUMENT, TENSORS))
        place = draw.randrange(len(SAVED[name]))
        spoiled = bytearray(SAVED[name])
        spoiled[place] ^= 1 << draw.randrange(8)
        (folder / name).write_bytes(spoiled)
        try:
            kept = read(folder)
        except LoadError:
            kept = None
        assert kept is None or kept.document == whole.document  # in the white space between two values
        (folder / name).write_bytes(SAVED[name])


@pytest.mark.parametrize("name", [DOCUMENT, TENSORS])
def test_no_link_is_followed(tmp_path, name):
    folder = write(tmp_path / "m", SAVED)
    (tmp_path / "elsewhere").write_bytes(SAVED[name])
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LoadError, match=f"{name} is a link; expected the files"):
        read(folder)


@pytest.mark.parametrize("spoil", ["missing", "extra", "folder", "pipe"])
def test_a_folder_holds_the_two_files_and_nothing_else(tmp_path, spoil):
    folder = write(tmp_path / "m", SAVED)
    if spoil == "extra":
        (folder / "weights.pkl").write_bytes(b"\x80\x04N.")
    else:
        (folder / TENSORS).unlink()
    if spoil == "folder":
        (folder / TENSORS).mkdir()
    elif spoil == "pipe":
        os.mkfifo(folder / TENSORS)
    with pytest.raises(LoadError, match=r"expected the files model\.json and tensors\.safetensors"):
        read(folder)


def test_a_huge_sparse_file_is_refused_before_it_is_read(tmp_path):
    folder = write(tmp_path / "m", SAVED)
    os.truncate(folder / TENSORS, 2**40)
    with pytest.raises(LoadError, match="has 1,099,511,627,776 bytes, and"):
        read(folder)
    content = CONTENT | {"tensors": {"bytes": 2**40, "sha256": "0" * 64}}
    (folder / DOCUMENT).write_bytes(seal(SCHEMA, content))
    with pytest.raises(LoadError, match=r"bytes, and .* leaves"):
        read(folder)
    os.truncate(folder / DOCUMENT, 2**33)
    with pytest.raises(LoadError, match="a document has at most"):
        read(folder)


def test_a_spec_of_another_size_than_its_tensors_is_refused_before_it_is_built(tmp_path):
    content = put(CONTENT, ("plan", "text"), CONTENT["plan"]["text"].replace("lstm(4)", "lstm(6000)"))
    folder = write(tmp_path / "m", {**SAVED, DOCUMENT: seal(SCHEMA, content)})
    with pytest.raises(LoadError, match=r"has a spec of [\d,]+ parameters, and a ledger of"):
        read(folder)


def test_reading_needs_no_tensorflow(tmp_path):
    import subprocess

    folder = shutil.copytree(KEPT / "keras2", tmp_path / "m")
    code = (
        "import sys; from s2s_magic.keeping.opening import read; "
        f"read({str(folder)!r}); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert checksum(folder / TENSORS) == json.loads((folder / DOCUMENT).read_text())["model"]["tensors"]["sha256"]
