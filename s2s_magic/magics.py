"""The magics: read the line, call one function, show its result. No logic of their own."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Enum
from traitlets.config import Config

from s2s_magic import api
from s2s_magic.cells import transformer
from s2s_magic.compatibility import matchers
from s2s_magic.completion import matcher
from s2s_magic.errors import WITHOUT_TENSORFLOW, Interrupted, Seq2SeqError, as_plain
from s2s_magic.line_sources import asked_to_explain, asked_to_show, read_sources
from s2s_magic.notebook_names import bind, check_free, model_named
from s2s_magic.options import HelpShown, check_body, help_text, parse_line
from s2s_magic.scoring import score
from s2s_magic.search_options import SEARCH_OPTIONS
from s2s_magic.teaching import diff, quiz
from s2s_magic.traced_cell import trace_cell
from s2s_magic.undoing import Changes

if TYPE_CHECKING:
    from s2s_magic.handle import Seq2Seq


@magics_class
class Seq2SeqMagics(Magics):  # type: ignore[misc]
    """``%seq2seq`` and ``%%seq2seq``."""

    def __init__(self, shell: Any, **settings: Any) -> None:
        super().__init__(shell, **settings)
        self.widgets: dict[str, Any] = {}
        self.matcher = matcher(lambda: shell.user_ns)
        self.transformer = transformer(shell)

    full_tracebacks = Bool(False, help="Show expected errors with their whole traceback and its causes.").tag(
        config=True
    )
    display = Enum(
        ("auto", "widget", "html", "text"),
        "auto",
        help="How reports are shown: in a notebook as HTML and in a terminal as text (auto), or as one of the others.",
    ).tag(config=True)

    @no_var_expand  # type: ignore[untyped-decorator]
    @line_magic  # type: ignore[untyped-decorator]
    def seq2seq(self, line: str) -> Any:  # noqa: D102 - help_text() is the docstring
        __tracebackhide__ = True
        return self._run(line, None)

    @no_var_expand  # type: ignore[untyped-decorator]
    @cell_magic("seq2seq")  # type: ignore[untyped-decorator]
    def seq2seq_cell(self, line: str, cell: str) -> Any:  # noqa: D102 - help_text() is the docstring
        __tracebackhide__ = True
        return self._run(line, cell)

    seq2seq.__doc__ = seq2seq_cell.__doc__ = help_text()

    def _run(self, line: str, cell: str | None) -> Any:
        __tracebackhide__ = True
        try:
            verb, options = parse_line(line, has_body=cell is not None)
            run: Callable[..., Any] = getattr(self, f"_{verb}")
            if cell is None:
                return run(options)
            check_body(verb, cell)
            return run(options, cell)
        except HelpShown as shown:
            print(shown)
            return None
        except (Seq2SeqError, Interrupted) as error:
            error.full_traceback = self.full_tracebacks
            raise

    # -- cell verbs; the cell's first line of code is line 2 of the notebook's gutter ------------------------------

    def _build(self, options: Namespace, cell: str) -> None:
        check_free(options.name, self.shell)
        model = api.build(cell, name=options.name, namespace=self.shell.user_ns, first_line=2)
        bind(self.shell, model)
        self._show_new(model)

    def _trace(self, options: Namespace, cell: str) -> None:
        __tracebackhide__ = True
        check_free(options.name, self.shell)
        had = api.models_in(self.shell.user_ns).get(options.name)

        def keep(seen: Seq2Seq, error: BaseException | None) -> None:
            if had is not None and (not seen.ledger.events or (error is not None and had.model is not None)):
                # a cell that raised or made no layers does not replace a model; its ledger is kept in ``attempt``
                had.attempt = seen.ledger
                bind(self.shell, had)
            else:
                bind(self.shell, seen, had=had)

        seen, error = trace_cell(
            cell,
            self.shell.user_ns,
            name=options.name,
            before=self._model(options.name) if options.going_on else None,
            shell=self.shell,
            first_line=2,
            keep=keep,
        )
        if not seen.ledger.events and had is not None and error is None:
            print(f"{options.name} stays as it was: this cell made and called no layer.")
        elif error is None or seen.ledger.events:
            self._show_new(seen)
        if error is not None:
            raise as_plain(error, self.shell)

    def _fit(self, options: Namespace, cell: str) -> None:
        __tracebackhide__ = True
        model = self._model(options.name)
        try:
            api.fit(model, cell, self.shell.user_ns, first_line=2, watch=self._update)
        finally:
            self._update(model, over=True)

    def _score(self, options: Namespace, cell: str) -> Any:
        scored = score(self._model(options.name), cell, self.shell.user_ns, first_line=2)
        return scored if options.wanted else self._display(scored)

    # -- line verbs --------------------------------------------------------------------------------------------------

    def _inspect(self, options: Namespace) -> Any:
        from s2s_magic.display import check_event, write_views

        model = self._model(options.name)
        api.current_ledger(model)
        with Changes() as changes, changes, changes:
            changes.enter(model.chosen(options.model))
            check_event(model.ledger, options.after)
            asked = asked_to_show(self.shell.user_ns, model, options)
            if options.wanted:
                return model.ledger
            shown = {kind: api.explain(model, which=options.model, **given) for kind, given in asked.items()}
            if not write_views(model.ledger, options, **shown):
                mode = "widget" if options.widget else self.display
                self._show(model, mode=mode, after=options.after, training=options.training)
        return None

    def _explain(self, options: Namespace) -> Any:
        model = self._model(options.name)
        kind, asked = asked_to_explain(self.shell.user_ns, model, options)
        found = api.explain(model, which=options.model, **asked)
        return found if options.wanted else self._show_view(kind, found)

    def _code(self, options: Namespace) -> str | None:
        from s2s_magic.decoding import inference_model

        model = self._model(options.name)
        with Changes() as changes, changes, changes:
            changes.enter(model.chosen(options.model))
            if options.inference:
                source = inference_model(model).source
            else:
                source = model.source if options.model is None else model.source_of(options.model)
        if options.cell:
            self.shell.set_next_input(source)
        elif options.wanted:
            return source
        else:
            self._display_code(source)
        return None

    def _decode(self, options: Namespace) -> list[Any] | None:
        model = self._model(options.name)
        sources = read_sources(self.shell.user_ns, model, options.source)
        outputs = api.decode(
            model,
            sources,
            max_length=options.max_length,
            start=options.start,
            end=options.end,
            which=options.model,
            **{name: value for name in SEARCH_OPTIONS if (value := getattr(options, name)) is not None},
        )
        if options.wanted:
            return outputs
        self._display(outputs.display(alignments=options.alignments))
        return None

    def _compare(self, options: Namespace) -> Any:
        comparison = api.compare(self._model(options.name), self._model(options.other))
        return comparison if options.wanted else self._show_view("comparison", comparison)

    def _diff(self, options: Namespace) -> Any:
        comparison = diff(self._model(options.name))
        return comparison if options.wanted else self._show_view("comparison", comparison)

    def _quiz(self, options: Namespace) -> Any:
        made = quiz(self._model(options.name), options.questions, options.seed)
        return made if options.wanted else self._display(made)

    def _save(self, options: Namespace) -> None:
        path = api.save(self._model(options.name), options.folder, overwrite=options.overwrite)
        print(f"{options.name} is saved in {path}")

    def _load(self, options: Namespace) -> None:
        if options.code:
            self._display_code(api.saved_code(options.folder))
            return
        check_free(options.name, self.shell)
        onto = api.models_in(self.shell.user_ns).get(options.name)
        model = api.load(options.folder, name=options.name, onto=onto)
        bind(self.shell, model)
        self._show_new(model)

    def _export(self, options: Namespace) -> None:
        path = api.export(
            self._model(options.name),
            **{kind: getattr(options, kind) for kind in ("onnx", "savedmodel", "script")},
            **{name: getattr(options, name) for name in ("max_length", "start", "end", "overwrite")},
            which=options.model,
        )
        print(f"{options.name} is exported to {path}")

    def _list(self, options: Namespace) -> None:
        models = api.models_in(self.shell.user_ns)
        print("\n".join(f"{name:<16} {model!r}" for name, model in models.items()) or "no models in this notebook yet")

    # -- displays ------------------------------------------------------------------------------------------

    def _model(self, name: str) -> Seq2Seq:
        return model_named(name, self.shell.user_ns)

    def _show_new(self, model: Seq2Seq) -> None:
        """Show a model that was bound just now; an inspector of what had its name before becomes its page."""
        if (inspector := self.widgets.pop(model.name, None)) is not None:
            inspector.retire()
        self._show(model, mode=self.display)

    def _show(self, model: Seq2Seq, **how: Any) -> None:
        from s2s_magic.display import show_model

        self.widgets[model.name] = show_model(model, self.shell, replaced=self.widgets.get(model.name), **how)

    def _update(self, model: Seq2Seq, *, over: bool = False) -> None:
        """Update an open inspector with the fit's progress, also after an interrupt."""
        if (inspector := self.widgets.get(model.name)) is not None:
            inspector.update(model.ledger, over=over)

    def _show_view(self, kind: str, value: Any) -> None:
        from s2s_magic.view import bundles

        self._display(getattr(bundles, f"show_{kind}")(value))

    def _display_code(self, source: str) -> None:
        from IPython.display import Code, display

        from s2s_magic.view.bundles import texts

        forms, metadata = self.shell.display_formatter.format(Code(source, language="python"))
        display({**texts(source, "python"), **forms}, metadata=metadata, raw=True)

    def _display(self, value: Any) -> None:
        from IPython.display import display

        display(value)


def load(shell: Any) -> None:
    """Register the magics and the completer with a shell; if TensorFlow is missing, say what works without it."""
    magics = Seq2SeqMagics(shell=shell, config=Config(shell.config))
    shell.register_magics(magics)
    matchers(shell).append(magics.matcher)
    shell.input_transformers_cleanup.append(magics.transformer)
    if find_spec("tensorflow") is None:
        print(WITHOUT_TENSORFLOW)


def unload(shell: Any) -> None:
    """Remove the magics and the completer; ``%config`` settings are kept in the shell's configuration."""
    manager = shell.magics_manager
    magics = manager.registry.pop("Seq2SeqMagics", None)
    if magics is None:
        return
    for kind in ("line", "cell"):
        manager.magics[kind].pop("seq2seq", None)
    shell.configurables[:] = [each for each in shell.configurables if each is not magics]
    matchers(shell)[:] = [each for each in matchers(shell) if each is not magics.matcher]
    transformers = shell.input_transformers_cleanup
    transformers[:] = [each for each in transformers if each is not magics.transformer]
    settings = {name: getattr(magics, name) for name in magics.trait_names(config=True)}
    shell.config.Seq2SeqMagics.update(settings)
