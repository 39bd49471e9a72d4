"""Learn the dates of data/, which `make_dates.py` writes, and export the model in three ways, into data/.

python examples/make_dates.py
python examples/export_dates.py
python data/dates_onnx/decode.py "July 14, 1789"
"""

from __future__ import annotations

import argparse

import s2s_magic

SPEC = """\
vocab: {source: 'data/train.tsv["said"]', target: 'data/train.tsv["iso"]'}
tokens: {source: char(lowercase=true), target: char}
embed: 32
encoder: bidirectional(lstm(64))
decoder: lstm(128)
attention: luong
"""
FIT = """\
source: data/train.tsv["said"]
target: data/train.tsv["iso"]
validation: ['data/dev.tsv["said"]', 'data/dev.tsv["iso"]']
batch: 64
optimizer: adam(4e-3)
patience: 3
seed: 1
"""


def main() -> None:
    """Build, fit and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8, help="8 unless given")
    options = parser.parse_args()
    model = s2s_magic.build(SPEC, name="dates")
    s2s_magic.fit(model, f"{FIT}epochs: {options.epochs}\n", {})
    print(s2s_magic.export(model, onnx="data/dates_onnx"))
    print(s2s_magic.export(model, savedmodel="data/dates_saved"))
    print(s2s_magic.export(model, script="data/train_dates.py", overwrite=True))


if __name__ == "__main__":
    main()
