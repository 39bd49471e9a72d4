"""Hand-made ledgers, for testing views without TensorFlow."""

from __future__ import annotations

from math import prod
from typing import Any

from s2s_magic.ledger import (
    Called,
    CallShare,
    Cell,
    Constructed,
    Effect,
    Evidence,
    Layer,
    Ledger,
    ModelRecord,
    Part,
    Run,
    Tensor,
    Variable,
    VariableEvidence,
    Wire,
)
from s2s_magic.ledger.verdicts import judge_all

CODE = """\
encoder_inputs = keras.Input([None], dtype="int32")
decoder_inputs = keras.Input([None], dtype="int32")
sequence_lengths = keras.Input([], dtype="int32")
embeddings = keras.layers.Embedding(100, 10)
encoder_embeddings = embeddings(encoder_inputs)
decoder_embeddings = embeddings(decoder_inputs)
encoder = keras.layers.LSTM(512, return_state=True)
encoder_outputs, state_h, state_c = encoder(encoder_embeddings)
encoder_state = [state_h, state_c]
sampler = tfa.seq2seq.TrainingSampler()
decoder_cell = keras.layers.LSTMCell(512)
output_layer = keras.layers.Dense(100)
decoder = tfa.seq2seq.BasicDecoder(decoder_cell, sampler, output_layer=output_layer)
final_outputs, final_state, final_sequence_lengths = decoder(
    decoder_embeddings, initial_state=encoder_state, sequence_length=sequence_lengths)
Y_proba = tf.nn.softmax(final_outputs.rnn_output)
model = keras.Model([encoder_inputs, decoder_inputs, sequence_lengths], Y_proba)
"""


class Sketch:
    """Collects the records of a ledger in the order of a trace."""

    def __init__(self, name: str, text: str, first_line: int = 1) -> None:
        self.name = name
        self.cells = [Cell(number=1, text=text, first_line=first_line)]
        self.events: list[Constructed | Called] = []
        self.layers: dict[str, dict[str, Any]] = {}
        self.variables: dict[str, Variable] = {}
        self.models: list[ModelRecord] = []
        self.calls: dict[str, int] = {}
        self.made: dict[str, tuple[int, int, Tensor]] = {}

    def place(self, source: str) -> dict[str, Any]:
        cell = self.cells[-1]
        start = cell.text.index(source)
        end = start + len(source)
        return {
            "cell": cell.number,
            "line": cell.text.count("\n", 0, start) + cell.first_line,
            "column": start - (cell.text.rfind("\n", 0, start) + 1),
            "end_line": cell.text.count("\n", 0, end) + cell.first_line,
            "end_column": end - (cell.text.rfind("\n", 0, end) + 1),
            "source": source,
        }

    def wires(self, names: tuple[str, ...]) -> tuple[Wire, ...]:
        found = [self.made[name] for name in names]
        return tuple(
            Wire(name=t.name, shape=t.shape, dtype=t.dtype, from_event=event, output=output)
            for event, output, t in found
        )

    def outputs(self, *tensors: tuple[str | None, tuple[int | None, ...], str]) -> tuple[Tensor, ...]:
        records = tuple(Tensor(name=name, shape=shape, dtype=dtype) for name, shape, dtype in tensors)
        for number, tensor in enumerate(records):
            if tensor.name:
                self.made[tensor.name] = (len(self.events), number, tensor)
        return records

    def layer(self, name: str, class_name: str, **more: Any) -> str:
        key = f"L{len(self.layers)}"
        self.layers[key] = {"name": name, "class_name": class_name, "keras_name": class_name.lower(), **more}
        return key

    def constructed(
        self, key: str, source: str, *, outputs: Any = (), inputs: tuple[str, ...] = (), **more: Any
    ) -> int:
        layer = self.layers[key]
        self.layers[key].setdefault("constructed", len(self.events))
        event = Constructed(
            index=len(self.events), object=key, layer=layer["name"], class_name=layer["class_name"],
            keras_name=layer["keras_name"], inputs=self.wires(inputs), outputs=self.outputs(*outputs),
            **self.place(source), **more,
        )  # fmt: skip
        self.events.append(event)
        return event.index

    def called(
        self, key: str, source: str, inputs: tuple[str, ...], outputs: Any, created: tuple[str, ...] = (),
        reused: tuple[str, ...] = (), **more: Any,
    ) -> int:  # fmt: skip
        layer = self.layers[key]
        self.calls[key] = self.calls.get(key, 0) + 1
        trainable = sum(v.params for v in self.variables.values() if v.trainable)
        event = Called(
            index=len(self.events), object=key, layer=layer["name"], class_name=layer["class_name"],
            keras_name=layer["keras_name"], inputs=self.wires(inputs), outputs=self.outputs(*outputs),
            call=self.calls[key], in_graph=True, created=created, reused=reused, trainable_params=trainable,
            **self.place(source), **more,
        )  # fmt: skip
        self.events.append(event)
        return event.index

    def variable(self, key: str, short: str, shape: tuple[int, ...], row: str, **more: Any) -> str:
        """Record a variable that the next event creates; ``row`` is the outermost layer that lists it."""
        number = f"v{len(self.variables)}"
        params = prod(shape)
        fields = {
            "owner": self.layers[key]["name"], "object": key, "paths": (f"{self.layers[key]['name']}.{short}",),
            "name": f"{self.layers[key]['keras_name']}/{short}:0", "shape": shape, "dtype": "float32",
            "bytes": 4 * params, "params": params, "trainable": True, "created_by": len(self.events),
            "held_by": (row,), "in_models": ("model",),
        }  # fmt: skip
        self.variables[number] = Variable(**{**fields, **more})
        for holder in dict.fromkeys((key, row)):
            self.layers[holder]["own_weights"] = (*self.layers[holder].get("own_weights", ()), number)
        return number

    def ledger(self, training: Evidence | None = None) -> Ledger:
        return Ledger(
            self.name,
            cells=self.cells,
            events=self.events,
            layers={key: Layer(**fields) for key, fields in self.layers.items()},
            variables=self.variables,
            models=self.models,
            training=training,
        )


def translator_ledger(*, training: bool = False) -> Ledger:
    """Return the ledger of a translator: 9 trainable variables, 2,194,508 parameters."""
    s = Sketch("translator", CODE, first_line=2)
    in_model = {"in_models": ("model",)}
    unknown = (None, None)
    inputs = ("encoder_inputs", "decoder_inputs", "sequence_lengths")
    for name, shape in zip(inputs, (unknown, unknown, (None,)), strict=True):
        line = next(line for line in CODE.splitlines() if line.startswith(name))
        key = s.layer(name, "InputLayer", **in_model)
        s.constructed(key, line.partition(" = ")[2], outputs=[(name, shape, "int32")])
        if name != "sequence_lengths":
            # The second Input has the same text as the first, so its position is set by hand.
            found = line.index("keras")
            number = CODE.splitlines().index(line) + 2
            s.events[-1] = s.events[-1].model_copy(
                update={"line": number, "end_line": number, "column": found, "end_column": len(line)}
            )

    embeddings = s.layer("embeddings", "Embedding", **in_model)
    s.layers[embeddings]["keras_name"] = "embedding"
    s.constructed(embeddings, "keras.layers.Embedding(100, 10)")
    v = s.variable(embeddings, "embeddings", (100, 10), embeddings, initializer="RandomUniform", initial_norm=0.92)
    three = (None, None, 10)
    s.called(
        embeddings, "embeddings(encoder_inputs)", ("encoder_inputs",), [("encoder_embeddings", three, "float32")], (v,)
    )
    s.called(
        embeddings, "embeddings(decoder_inputs)", ("decoder_inputs",),
        [("decoder_embeddings", three, "float32")], reused=(v,),
    )  # fmt: skip

    encoder = s.layer("encoder", "LSTM", **in_model)
    cell = s.layer("encoder.cell", "LSTMCell", parent=encoder, attribute="cell", constructed=len(s.events), **in_model)
    s.constructed(
        encoder,
        "keras.layers.LSTM(512, return_state=True)",
        parts=(Part(object=cell, path="cell", class_name="LSTMCell"),),
    )
    gates = [("kernel", (10, 2048)), ("recurrent_kernel", (512, 2048)), ("bias", (2048,))]
    how = {"kernel": "GlorotUniform", "recurrent_kernel": "Orthogonal", "bias": "Zeros"}
    made = tuple(
        s.variable(cell, short, shape, encoder, name=f"lstm/lstm_cell/{short}:0", initializer=how[short])
        for short, shape in gates
    )
    state = (None, 512)
    s.called(
        encoder, "encoder(encoder_embeddings)", ("encoder_embeddings",),
        [("encoder_outputs", state, "float32"), ("state_h", state, "float32"), ("state_c", state, "float32")],
        made, folded=1,
    )  # fmt: skip

    decoder_cell = s.layer("decoder_cell", "LSTMCell", **in_model)
    s.constructed(decoder_cell, "keras.layers.LSTMCell(512)")
    output_layer = s.layer("output_layer", "Dense", **in_model)
    s.constructed(output_layer, "keras.layers.Dense(100)")
    decoder = s.layer("decoder", "BasicDecoder", **in_model)
    s.layers[decoder]["keras_name"] = "basic_decoder"
    s.constructed(decoder, "tfa.seq2seq.BasicDecoder(decoder_cell, sampler, output_layer=output_layer)")
    s.layers[decoder_cell].update(parent=decoder, attribute="cell", held_by=("decoder.cell",))
    s.layers[output_layer].update(parent=decoder, attribute="output_layer", held_by=("decoder.output_layer",))
    made = tuple(
        s.variable(
            decoder_cell, short, shape, decoder, name=f"basic_decoder/decoder/while/lstm_cell/{short}:0",
            initializer=how[short], paths=(f"decoder_cell.{short}", f"decoder.cell.{short}"),
        )
        for short, shape in gates
    ) + tuple(
        s.variable(
            output_layer, short, shape, decoder, name=f"basic_decoder/decoder/while/dense/{short}:0",
            initializer="GlorotUniform" if short == "kernel" else "Zeros",
            paths=(f"output_layer.{short}", f"decoder.output_layer.{short}"),
        )
        for short, shape in [("kernel", (512, 100)), ("bias", (100,))]
    )  # fmt: skip
    s.called(
        decoder,
        CODE[CODE.index("decoder(\n") : CODE.index("Y_proba =") - 1],
        ("decoder_embeddings", "state_h", "state_c", "sequence_lengths"),
        [
            ("final_outputs.rnn_output", (None, None, 100), "float32"), ("final_outputs.sample_id", unknown, "int32"),
            ("final_state[0]", state, "float32"), ("final_state[1]", state, "float32"),
            ("final_sequence_lengths", (None,), "int32"),
        ],
        made, folded=4,
    )  # fmt: skip
    softmax = s.layer("tf.nn.softmax", "TFOpLambda", implicit=True, **in_model)
    s.called(
        softmax, "tf.nn.softmax(final_outputs.rnn_output)", ("final_outputs.rnn_output",),
        [("Y_proba", (None, None, 100), "float32")],
    )  # fmt: skip
    model = s.layer("model", "Functional", own_weights=tuple(s.variables))
    ends = s.wires(("Y_proba",))
    event = s.constructed(
        model,
        "keras.Model([encoder_inputs, decoder_inputs, sequence_lengths], Y_proba)",
        inputs=inputs,
        owns=tuple(s.variables),
        ends=ends,
    )
    rows = ["L0", embeddings, encoder, "L1", "L2", decoder, softmax]
    total = sum(v.params for v in s.variables.values())
    s.models.append(
        ModelRecord(
            name="model", object=model, event=event, inputs=s.wires(inputs), outputs=ends, layers=tuple(rows),
            trainable=total, total=total,
        )
    )  # fmt: skip
    return s.ledger(translator_evidence(s) if training else None)


def translator_evidence(s: Sketch, epochs: int = 6) -> Evidence:
    """Return the evidence of a fit that trains everything but the encoder's bias."""
    variables = {}
    for number, (key, variable) in enumerate(s.variables.items()):
        still = variable.owner == "encoder.cell" and variable.paths[0].endswith("bias")
        size = 0.0 if still else 0.02 * (number + 1)
        gradient = 0.08 if still else size
        variables[key] = VariableEvidence(
            gradient_norm=tuple(gradient * 0.7**epoch for epoch in range(epochs)),
            update_norm=tuple(size * 0.1 * 0.9**epoch for epoch in range(epochs)),
            update_ratio=tuple(size * 0.01 * 0.9**epoch for epoch in range(epochs)),
            distance=tuple(size * (epoch + 1) ** 0.5 for epoch in range(epochs)),
            norm=tuple(1.0 + size * epoch for epoch in range(epochs)),
            since="creation",
            rows_moved=97 if key == "v0" else None,
            fits=(
                Effect(
                    fit=1, given=True, connected=True, steps=192, with_gradient=192, norm_before=1.0,
                    moved=size * epochs**0.5, rows_moved=97 if key == "v0" else None,
                ),
            ),
            verdict="trained",
            text="",
        )  # fmt: skip
    return Evidence(
        history={
            "loss": tuple(4.605 * 0.82**epoch + 0.05 for epoch in range(epochs)),
            "val_loss": tuple(4.605 * 0.85**epoch + 0.12 for epoch in range(epochs)),
            "accuracy": tuple(1 - 0.98 * 0.8**epoch for epoch in range(epochs)),
        },
        variables=judge_all(s.ledger(), variables),
        by_call=(
            CallShare(variable="v0", event=4, norm=0.037, share=0.71),
            CallShare(variable="v0", event=5, norm=0.015, share=0.29),
        ),
        runs=(Run(epochs=epochs, seconds=41.3, steps=192, batch=32, optimizer="adam(0.001)"),),
    )


def large_ledger(layers: int = 1000, events: int = 10_000) -> Ledger:
    """Return a ledger with this many layers and events: every layer is made once and called repeatedly in a loop."""
    text = "x = keras.layers.Input([64])\nfor block in blocks:\n" + "".join(
        f"    x = block_{number}(x)\n    block_{number} = Dense(64)\n" for number in range(layers - 1)
    )
    s = Sketch("large", text)
    first = s.layer("x", "InputLayer", in_models=("model",))
    s.constructed(first, "keras.layers.Input([64])", outputs=[("x", (None, 64), "float32")])
    lines = text.splitlines()
    trainable = 0
    keys = []
    shape = (64, 64)

    def place(line: int, source: str) -> dict[str, Any]:
        column = lines[line - 1].index(source)
        return {
            "cell": 1, "line": line, "column": column, "end_line": line, "end_column": column + len(source),
            "source": source,
        }  # fmt: skip

    for number in range(layers - 1):
        key = s.layer(f"block_{number}", "Dense", constructed=len(s.events), in_models=("model",))
        keys.append(key)
        s.events.append(
            Constructed(
                index=len(s.events), object=key, layer=f"block_{number}", class_name="Dense",
                keras_name=f"dense_{number}", **place(2 * number + 4, "Dense(64)"),
            )
        )  # fmt: skip
    number = 0
    while len(s.events) < events - 1:
        block = number % (layers - 1)
        key = keys[block]
        created: tuple[str, ...] = ()
        if number < layers - 1:
            created = (s.variable(key, "kernel", shape, key), s.variable(key, "bias", (64,), key))
            trainable += 64 * 65
        s.events.append(
            Called(
                index=len(s.events), object=key, layer=f"block_{block}", class_name="Dense",
                keras_name=f"dense_{block}", call=number // (layers - 1) + 1, in_graph=True,
                inputs=(
                    Wire(name="x", shape=(None, 64), dtype="float32", from_event=len(s.events) - 1 if number else 0),
                ),
                outputs=(Tensor(name="x", shape=(None, 64), dtype="float32"),), created=created,
                reused=() if created else s.layers[key]["own_weights"], trainable_params=trainable,
                **place(2 * block + 3, f"block_{block}(x)"),
            )
        )  # fmt: skip
        number += 1
    last = Wire(name="x", shape=(None, 64), dtype="float32", from_event=len(s.events) - 1)
    model = s.layer("model", "Functional", own_weights=tuple(s.variables), constructed=len(s.events))
    s.events.append(
        Constructed(
            index=len(s.events), object=model, layer="model", class_name="Functional", keras_name="model",
            owns=tuple(s.variables), ends=(last,), **place(1, "keras"),
        )
    )  # fmt: skip
    s.models.append(
        ModelRecord(
            name="model", object=model, event=len(s.events) - 1, outputs=(last,), layers=(first, *keys),
            trainable=trainable, total=trainable,
        )
    )  # fmt: skip
    return s.ledger()
