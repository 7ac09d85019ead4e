"""A file with several frames or pages, all of them enlarged: --all-frames. For one machine and for many."""

from __future__ import annotations

import os
from typing import Callable, Iterator, NamedTuple

from pictures import history, processing
from pictures.formats import base, frames, reader, registry, writer
from rdn import engines, escaping

import numpy as np


class Enlarged(NamedTuple):
    """A sequence whose frames are enlarged when they are asked for. first: its first frame, once that is done."""

    film: frames.Sequence
    first: list[processing.Upscaled]


def find(job: processing.PictureJob, options: processing.Options) -> frames.Sequence | None:
    """Return the frames of a picture that are to be enlarged; None if it is enlarged as one picture.

    Args:
        job: the picture and its result, whose format may hold one picture only.
        options: of the run.

    Raises:
        ValueError: the file cannot be read; it has its name.
    """
    target = registry.BY_ENDING.get(registry.ending_of(job.target))
    if not options.all_frames or target is None or not target.frame_kind:
        return None
    found = reader.read_frames(job.source)
    return found if found and found.kind == target.frame_kind and len(found.sizes) > 1 else None


def megapixels(job: processing.PictureJob, options: processing.Options) -> float:
    """Return the megapixels of a source that are enlarged, by its headers; 0 where they do not say them."""
    try:
        found = find(job, options) if os.path.isfile(job.source) else None
    except (ValueError, OSError, MemoryError):  # reading it will say why
        return 0
    return found.megapixels if found else processing.megapixels(job.source)


def upscale(
    job: processing.PictureJob,
    sequence: frames.Sequence,
    model: engines.Engine,
    scale: int,
    options: processing.Options,
    advance: Callable[[float], None],
) -> Enlarged:
    """Return the enlarged frames of a file, which `save` then runs through the model one by one.

    Args:
        job: the picture and its result.
        sequence: its frames.
        model: the engine.
        scale: how many times it enlarges.
        options: of the run.
        advance: called with the share of the file's work that was done since the last call.
    """
    first: list[processing.Upscaled] = []

    def enlarged() -> Iterator[frames.Frame]:
        for frame in _named(job.source, sequence.frames()):
            part = frame.pixels.shape[0] * frame.pixels.shape[1] / 1e6 / sequence.megapixels

            def go_on(share: float, part: float = part) -> None:
                advance(share * part)

            picture = reader.Picture(frame.pixels, frame.said, sequence.is_lossless, sequence.notes)
            canvas = processing.upscale_picture(job, picture, model, scale, options, go_on)
            if not first:
                first.append(processing.Upscaled(picture, canvas))
            array: np.ndarray = canvas.crop((0, 0, canvas.width, canvas.height))
            said = processing.said_of_result(frame.said, array.shape[1::-1], options, sequence.notes)
            yield frame._replace(pixels=array, said=said)

    return Enlarged(sequence._replace(frames=enlarged), first)


def save(
    job: processing.PictureJob, enlarged: Enlarged, options: processing.Options, past: history.History | None = None
) -> list[str]:
    """Enlarge and write all frames, one after the other; return notes on reading and writing.

    Args:
        job: the picture and its result.
        enlarged: its frames.
        options: of the run.
        past: as of processing.save.

    Raises:
        ValueError: a frame cannot be read, or the result cannot be written; it has the file's name.
        OSError: the result cannot be written.
    """
    film = enlarged.film
    settings = base.Settings(options.quality, options.lossless or film.is_lossless, options.compression)
    with processing.result_file(job, options) as file:
        with processing.errors_of_writing(job.target):
            notes = writer.save_frames(file, registry.ending_of(job.target), film, settings)
        notes = list(dict.fromkeys([*film.notes, *notes]))
        processing.finish_file(job, file, options, notes, past)
    return notes


def _named(path: str, those: Iterator[frames.Frame]) -> Iterator[frames.Frame]:
    """Yield frames; raises ValueError, with the file's name, for one that cannot be read."""
    try:
        yield from those
    except ValueError as error:
        reason = escaping.one_line(error)
        named = reason if reason.startswith(path) else f'{path}: {reason}'
        raise ValueError(f'{named}; without --all-frames only the first one is read')
