"""The request of one run of RDN_upscale.py: the pictures, the model, and the place for results."""

from __future__ import annotations

import contextlib
import os
from typing import ContextManager, Iterator, NamedTuple, Sequence

from pictures import history, processing
from pictures.report import report
from rdn import cpu, engines, files, shipped_weights

DEFAULT_MODEL = 'lite'  # of rdn.shipped_weights
SHOWN_FAILURES = 200  # failures that the report lists
# Options that do not change the pixels of a result, each with a fixed value, so that the digest ignores them.
PLACES: dict = dict(
    overwrite=False, resume=False, on_clash='', keep_dates=False, in_place=False, no_backup=False, batch_size=0
)


class ChosenModel(NamedTuple):
    """The model that the user chose.

    Attributes:
        path: the path of its file, or `full` or `lite` for weights of this repository; None: lite.
        engine: as in engines.open_model.
        precision: as in engines.open_model.
        place: the device that runs the model.
    """

    path: str | None
    engine: str
    precision: str
    place: engines.Place

    @property
    def file(self) -> str:
        """The path of the model's file."""
        return shipped_weights.locate(self.path or DEFAULT_MODEL)

    def busy_place(self) -> engines.Place:
        """Return the place, with all threads busy on several tiles at a time."""
        threads = self.place.threads or cpu.available_cores()
        return self.place._replace(threads=threads, streams=min(threads, processing.MAX_STREAMS))

    def describe(self, scale: int, engine: str) -> str:
        """Return the first line of a run, which names the model and its engine.

        Args:
            scale: how many times the model enlarges each side.
            engine: the engine, as engines.describe names it.
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
    """All settings of a run.

    Attributes:
        inputs: files and folders, or for a cluster one folder or URL.
        output: a folder, a file for one picture, or for a cluster a folder or URL; None: next to the inputs.
        model: the model that enlarges the pictures.
        suffix: appended to the stems of the results' names; None: the usual one.
        ext: the ending of results, without its dot; None: the sources' own.
        page: the folder of the report; None: no report.
        log: the file that lists the failures; None: no such file.
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
        """Return a digest of the model and of the settings that change the files of results."""
        model = self.model
        chosen = files.digest(model.file), model.engine, model.precision
        return history.digest_of(*chosen, self.options._replace(**PLACES))

    def check_writable(self, folders: Sequence[str]) -> None:
        """Make the folders for results, report and log.

        Args:
            folders: the folders for results.

        Raises:
            OSError: a folder cannot be written to.
        """
        log_folder = self.log and os.path.dirname(os.path.abspath(self.log))
        for folder in filter(None, {*folders, self.page, log_folder}):
            files.check_writable(folder)

    @contextlib.contextmanager
    def under_way(self, summary: processing.Summary) -> Iterator[report.Report | None]:
        """Keep the report open while pictures are enlarged; at the end, or after an error, write the log of failures.

        Args:
            summary: counts the pictures of the run.

        Yields:
            The report; None if the user wants no report.
        """
        try:
            with self._writing_report(self.page) if self.page else contextlib.nullcontext() as page:
                yield page
                if page:
                    page.list_failures(summary.failure_lines(SHOWN_FAILURES), summary.failed)
        finally:
            if self.log:
                summary.write_failures(self.log)

    def _writing_report(self, page: str) -> ContextManager[report.Report]:
        """Open a report in the folder `page`, which names the model."""
        model = report.ModelFile(os.path.basename(self.model.file), files.digest(self.model.file))
        return report.writing(page, engines.title_of_network(self.model.file), model)
