"""The work of a run, estimated from the headers of the pictures; each header is read once."""

from __future__ import annotations

import os
from typing import NamedTuple, Sequence

from pictures import earlier_results, passes, pipeline, processing, sequences, upscaler
from pictures.formats import reader
from pictures.metadata import exif
from rdn import engines, images, tiles

MAX_HEADERS = 1000  # of more pictures, at most this many, evenly spaced, are read before the run


class Header(NamedTuple):
    """The header of a picture.

    Attributes:
        width: width of the upright picture in pixels; 0 if unknown.
        height: height of the upright picture in pixels; 0 if unknown.
        has_alpha: whether there is an alpha channel.
    """

    width: int
    height: int
    has_alpha: bool


class Load(NamedTuple):
    """The work of a picture, or of several.

    Attributes:
        megapixels: millions of pixels of the source.
        result_megapixels: millions of pixels of the result.
        network_pixels: input pixels of the network in all passes, including overlaps of tiles, alpha, flips and turns.
        tile: (height, width) of the largest tile in pixels.
        held: share of pipeline.MOST_MEGAPIXELS, from pipeline.held_megapixels; only for a single picture.
    """

    megapixels: float = 0
    result_megapixels: float = 0
    network_pixels: float = 0
    tile: tuple[int, int] = (0, 0)
    held: float = 0

    def times(self, count: float) -> Load:
        """Return the work of `count` frames; `held` stays, because one frame is in memory at a time."""
        return self._replace(
            megapixels=count * self.megapixels,
            result_megapixels=count * self.result_megapixels,
            network_pixels=count * self.network_pixels,
        )

    def weight(self) -> float:
        """Return the work's share of the progress bar; a picture without a pass counts a little too."""
        return self.network_pixels + self.megapixels * 1e4


class Workload:
    """The pictures of a run, and their work.

    Attributes:
        jobs: all pictures.
        left: the pictures that have no result yet, or whose result is replaced.
        model: the engine.
        scale: how many times the model enlarges each side.
        options: how pictures are enlarged.
    """

    def __init__(
        self, jobs: Sequence[processing.PictureJob], model: engines.Engine, scale: int, options: processing.Options
    ):
        """Read the headers of all pictures, or of a sample if there are more than MAX_HEADERS.

        Args:
            jobs: all pictures.
            model: the engine.
            scale: how many times the model enlarges each side.
            options: how pictures are enlarged.
        """
        self.jobs, self.model, self.scale, self.options = jobs, model, scale, options
        self.left = [job for job in jobs if options.overwrite or not earlier_results.is_there(job, options)]
        self._left = set(self.left)
        self._loads: dict[processing.PictureJob, Load] = {}
        self._known, self._sum = 0, Load()
        for job in self.left[:: -(-len(self.left) // MAX_HEADERS) or 1]:
            self.load(job)

    @property
    def is_sampled(self) -> bool:
        """Whether the total is extrapolated from some of the pictures."""
        return self._known < len(self.left)

    def load(self, job: processing.PictureJob) -> Load:
        """Return the work of a picture; an empty Load if its header does not say its size."""
        if job not in self._loads:
            header = look_at(job.source)
            load = load_of(header, self.model, self.scale, self.options) if header.width and header.height else Load()
            if self.options.all_frames and load.megapixels:
                load = load.times(sequences.megapixels(job, self.options) / load.megapixels)
            self._loads[job] = load
            if load.megapixels and job in self._left:
                self._known += 1
                self._sum = _added(self._sum, load)
        return self._loads[job]

    def is_left(self, job: processing.PictureJob) -> bool:
        """Return whether a picture is in `left`, and so counts in the total."""
        return job in self._left

    def total(self) -> Load:
        """Return the work of all pictures in `left`; those of unknown size count as the mean of the others."""
        share = len(self.left) / self._known if self._known else 0
        total = self._sum
        return Load(share * total.megapixels, share * total.result_megapixels, share * total.network_pixels, total.tile)

    def weight(self, job: processing.PictureJob) -> float:
        """Return a picture's share of the progress bar, in the unit of Load.weight; the mean if its size is unknown."""
        return self.load(job).weight() or self._sum.weight() / max(1, self._known)


def look_at(path: str) -> Header:
    """Read the header of a picture, without the rest of the file."""
    if not os.path.isfile(path):  # a pipe would wait for a writer
        return Header(0, 0, False)
    width, height = reader.read_size(path)
    has_alpha, turn = False, None
    try:
        with images.open_image(path) as image:
            has_alpha = image.mode in ('LA', 'PA', 'RGBA', 'La', 'RGBa') or 'transparency' in image.info
            if image.format == 'TIFF':
                turn = image.tag_v2.get(exif.ORIENTATION)
            elif 'exif' in image.info:  # if there is none, getexif would read a PNG file to its end
                turn = image.getexif().get(exif.ORIENTATION)
    except Exception:  # Pillow does not know all formats, and raises errors of any type for corrupt files
        pass
    return Header(height, width, has_alpha) if turn in exif.QUARTER_TURNS else Header(width, height, has_alpha)


def load_of(header: Header, model: engines.Engine, scale: int, options: processing.Options) -> Load:
    """Return the work of a picture of known size; alpha goes through the network like a second picture.

    Args:
        header: the header of the picture.
        model: the engine.
        scale: how many times the model enlarges each side.
        options: how pictures are enlarged.
    """
    plan = passes.make_plan(header.height, header.width, scale, options.size)
    runs = (2 if header.has_alpha else 1) * (len(upscaler.SYMMETRIES) if options.self_ensemble else 1)
    network, largest = 0, (0, 0)
    for step in plan.steps[:-1]:
        layout = upscaler.layout_for(model, step, options.tile_size, options.overlap, scale, options.wrap)
        largest = layout.tile[0], layout.tile[1]
        rows, columns = map(len, tiles.axes(layout))
        count = rows * columns * runs
        full = -(-count // model.batch) * model.batch if model.batch else count
        network += full * largest[0] * largest[1]
    pixels, result = header.width * header.height / 1e6, plan.size[0] * plan.size[1] / 1e6
    return Load(pixels, result, network, largest, pipeline.held_megapixels(plan))


def _added(first: Load, second: Load) -> Load:
    larger = max(first, second, key=lambda load: load.tile[0] * load.tile[1])
    return Load(
        first.megapixels + second.megapixels,
        first.result_megapixels + second.result_megapixels,
        first.network_pixels + second.network_pixels,
        larger.tile,
    )
