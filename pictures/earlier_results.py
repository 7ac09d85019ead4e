"""Whether a picture's result is there already: made by this run's settings, by others, or by someone else."""

from __future__ import annotations

import contextlib
import os

from pictures import history, in_place, processing
from rdn import files


def is_job_done(
    job: processing.PictureJob, options: processing.Options, sources: dict[str, str], past: history.History | None
) -> bool:
    """Return whether the result of a picture is there and to be skipped, after the checks that every picture needs.

    A result that a record proves to be of this picture, model and settings is skipped without being asked.

    Args:
        job: the picture.
        options: what the flags say.
        sources: target -> source of the pictures before it; it is added.
        past: the records of earlier runs; None for none.

    Raises:
        ValueError: the picture and its result cannot be as they were asked for, or a file is there already.
        OSError: a folder or a device is there.
    """
    is_done = _is_done(job, options, sources, past)
    if is_done:
        with contextlib.suppress(OSError):  # in a folder that cannot be written nothing is half-written
            files.clean_up(job.target, anew=False)  # killed when the result had its name, a run left its lock
    return is_done


def _is_done(
    job: processing.PictureJob, options: processing.Options, sources: dict[str, str], past: history.History | None
) -> bool:
    if options.in_place:
        real = os.path.realpath(job.source)
        processing.check_job(job._replace(target=real), sources, may_be_itself=True)
        in_place.check_replaceable(job.source, options.lossless, options.all_frames)
        return in_place.is_done(job.source, past or history.History(), options.overwrite, options.resume)
    processing.check_job(job, sources)
    is_ours = past is not None and not options.overwrite and past.proves(job.source, job.target)
    return processing.is_done(job.target, options._replace(resume=options.resume or is_ours))


def is_there(job: processing.PictureJob, options: processing.Options) -> bool:
    """Return whether there is a result already, of any kind."""
    return os.path.exists(job.target + in_place.ENDING if options.in_place else job.target)


def shown_job(job: processing.PictureJob, options: processing.Options) -> processing.PictureJob | None:
    """Return the job with the path where its source lies now; None where only its result is left."""
    if not options.in_place:
        return job
    backup = job.source + in_place.ENDING
    return job._replace(source=backup) if os.path.exists(backup) else None
