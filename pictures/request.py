"""The request of one run of RDN_upscale.py: which pictures, by which model, to where."""

from __future__ import annotations

import contextlib
import os
from typing import ContextManager, Iterator, NamedTuple, Sequence

from pictures import history, processing
from pictures.report import report
from rdn import cpu, engines, files, shipped_weights

DEFAULT_MODEL = 'lite'  # of rdn.shipped_weights
SHOWN_FAILURES = 200  # on the page
# Options that no pixel of a result depends on, with one value for all runs.
PLACES: dict = dict(
    overwrite=False, resume=False, on_clash='', keep_dates=False, in_place=False, no_backup=False, batch_size=0
)


class ChosenModel(NamedTuple):
    """The model to use.

    Attributes:
        path: of its file, or `full` or `lite` for weights of this repository; None: lite.
        engine: as of engines.open_model.
        precision: as of engines.open_model.
        place: where it computes.
    """

    path: str | None
    engine: str
    precision: str
    place: engines.Place

    @property
    def file(self) -> str:
        """The path of the file that is loaded."""
        return shipped_weights.locate(self.path or DEFAULT_MODEL)

    def busy_place(self) -> engines.Place:
        """Where it computes, with all threads at work on several tiles at a time."""
        threads = self.place.threads or cpu.available_cores()
        return self.place._replace(threads=threads, streams=min(threads, processing.MAX_STREAMS))

    def describe(self, scale: int, engine: str) -> str:
        """Return the first line of a run: the model and what computes it.

        Args:
            scale: how many times the model enlarges.
            engine: what computes it, as engines.describe says it.
        """
        digest = f'SHA-256 {files.digest(self.file)[: report.MODEL_DIGITS]}…'
        if self.path in (None, DEFAULT_MODEL):
            shown = f'{os.path.basename(self.file)} ({digest}; the compact network; --model full is better and slower)'
        elif self.path == 'full':
            shown = f"{os.path.basename(self.file)} ({digest}; the guide's network)"
        else:
            shown = f'{self.path} ({digest})'
        return f'{shown}, x{scale} on {engine}'


class UpscaleRequest(NamedTuple):
    """What the user asked for.

    Attributes:
        inputs: files and folders, or for a cluster one folder or URL.
        output: a folder, a file for one picture, or for a cluster a folder or URL; None: beside the inputs.
        model: that enlarges them.
        suffix: behind the names of results; None for the usual one.
        ext: the ending of results, without its dot; None for the sources' own.
        page: the folder for the report's page; None for no page.
        log: the file for failures; None for none.
        options: how pictures are enlarged and written.
    """

    inputs: Sequence[str]
    output: str | None
    model: ChosenModel
    suffix: str | None
    ext: str | None
    page: str | None
    log: str | None
    options: processing.Options

    def made(self) -> str:
        """Return a digest of what results depend on: the model and the settings, not the places."""
        model = self.model
        chosen = files.digest(model.file), model.engine, model.precision
        return history.digest_of(*chosen, self.options._replace(**PLACES))

    def check_writable(self, folders: Sequence[str]) -> None:
        """Make the folders for results, report and log; raise OSError where one of them cannot be written."""
        log_folder = self.log and os.path.dirname(os.path.abspath(self.log))
        for folder in filter(None, {*folders, self.page, log_folder}):
            files.check_writable(folder)

    @contextlib.contextmanager
    def under_way(self, summary: processing.Summary) -> Iterator[report.Report | None]:
        """Yield the report while pictures are enlarged; at the end, whatever it is, write the log of failures."""
        try:
            with self._writing_report(self.page) if self.page else contextlib.nullcontext() as page:
                yield page
                if page:
                    page.list_failures(summary.failure_lines(SHOWN_FAILURES), summary.failed)
        finally:
            if self.log:
                summary.write_failures(self.log)

    def _writing_report(self, page: str) -> ContextManager[report.Report]:
        """The report in the folder `page`, which names the model."""
        model = report.ModelFile(os.path.basename(self.model.file), files.digest(self.model.file))
        return report.writing(page, engines.title_of_network(self.model.file), model)
