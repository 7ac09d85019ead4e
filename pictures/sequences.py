"""Enlarge all frames or pages of a file, for --all-frames; runs on one machine and on a cluster share this."""

from __future__ import annotations

import os
from typing import Callable, Iterator, NamedTuple

from pictures import history, processing
from pictures.formats import base, frames, reader, registry, writer
from rdn import engines, escaping

import numpy as np


class Enlarged(NamedTuple):
    """A sequence whose frames are enlarged one by one, when they are read.

    Attributes:
        film: the sequence of enlarged frames.
        first: the first frame and its result, once it is enlarged; empty before.
    """

    film: frames.Sequence
    first: list[processing.Upscaled]


def find(job: processing.PictureJob, options: processing.Options) -> frames.Sequence | None:
    """Return the frames of a file if all of them are to be enlarged.

    Args:
        job: the file and its result, whose format may not support frames.
        options: how pictures are enlarged.

    Returns:
        The frames; None if the file is enlarged as one picture.

    Raises:
        ValueError: the file cannot be read; the error names it.
    """
    target = registry.BY_ENDING.get(registry.ending_of(job.target))
    if not options.all_frames or target is None or not target.frame_kind:
        return None
    found = reader.read_frames(job.source)
    return found if found and found.kind == target.frame_kind and len(found.sizes) > 1 else None


def megapixels(job: processing.PictureJob, options: processing.Options) -> float:
    """Return the megapixels of a source by its headers, for all frames that are enlarged.

    Args:
        job: the picture and its result.
        options: how pictures are enlarged.

    Returns:
        Millions of pixels; 0 if the headers do not say the size or cannot be read.
    """
    try:
        found = find(job, options) if os.path.isfile(job.source) else None
    except (ValueError, OSError, MemoryError):  # the error appears again when the file is read
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
    """Return the frames of a file such that each one is enlarged when `save` reads it.

    Args:
        job: the file and its result.
        sequence: the frames of the file.
        model: the engine.
        scale: how many times the model enlarges each side.
        options: how pictures are enlarged.
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
    """Enlarge and write all frames, one after the other.

    Args:
        job: the file and its result.
        enlarged: the frames, from `upscale`.
        options: how pictures are written.
        past: as in processing.save.

    Returns:
        Notes on reading and writing, for the user.

    Raises:
        ValueError: a frame cannot be read, or the result cannot be written; the error names the file.
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
    """Yield the frames; if one cannot be read, raise ValueError with the file's path."""
    try:
        yield from those
    except ValueError as error:
        reason = escaping.one_line(error)
        named = reason if reason.startswith(path) else f'{path}: {reason}'
        raise ValueError(f'{named}; without --all-frames only the first one is read')
