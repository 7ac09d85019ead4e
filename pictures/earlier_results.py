"""Check whether a picture's result already exists, and whether this run's settings made it."""

from __future__ import annotations

import contextlib
import os

from pictures import history, in_place, processing
from rdn import files


def is_job_done(
    job: processing.PictureJob, options: processing.Options, sources: dict[str, str], past: history.History | None
) -> bool:
    """Check a picture and its result's path, and return whether to skip the picture because its result exists.

    A picture is skipped even without --resume if a record shows that this model and these settings made its result.

    Args:
        job: the picture.
        options: how the run enlarges pictures.
        sources: target -> source of the earlier pictures of this run; this picture is added.
        past: the records of earlier runs; None: no records.

    Raises:
        ValueError: the result would be that of another picture too, or would replace its own picture, or cannot be made
            in place; or a file exists and no flag says whether to replace or skip it.
        OSError: the result's path is a folder or a device.
    """
    is_done = _is_done(job, options, sources, past)
    if is_done:
        with contextlib.suppress(OSError):  # a read-only folder has no half-written files
            # A run that was killed just after it renamed the result left its lock file.
            files.clean_up(job.target, anew=False)
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
    """Return whether a file exists at the result's path; for results in place, whether the backup exists."""
    return os.path.exists(job.target + in_place.ENDING if options.in_place else job.target)


def shown_job(job: processing.PictureJob, options: processing.Options) -> processing.PictureJob | None:
    """Return the job with the current path of its source: the backup's, if the result replaced the source.

    Args:
        job: a picture whose result exists.
        options: how the run enlarges pictures.

    Returns:
        The job; None if the source no longer exists.
    """
    if not options.in_place:
        return job
    backup = job.source + in_place.ENDING
    return job._replace(source=backup) if os.path.exists(backup) else None
