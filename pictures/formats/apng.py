"""APNG: composing and writing the frames of an animated PNG (PNG, third edition, 4.9 and 11.3.6).

png.py reads each frame as a separate PNG, with all depths and colour types.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Iterator, NamedTuple

from pictures.formats import base, frames, pixels, png, png_rows
from pictures.metadata import metadata
from rdn import images

import numpy as np

SOURCE, OVER = 0, 1  # values of blend_op
KEEP, CLEAR, RESTORE = 0, 1, 2  # values of dispose_op
MAX_PART = 65535  # for the numerator and the denominator of a delay
SHARED_CHUNKS = (b'PLTE', b'tRNS')


class _Part(NamedTuple):
    """A frame as the file stores it.

    Attributes:
        box: the part of the picture that it covers.
        delay: how long it is shown, in milliseconds.
        disposal: a value of dispose_op.
        blending: a value of blend_op.
        data: its compressed rows.
    """

    box: frames.Box
    delay: float
    disposal: int
    blending: int
    data: list[bytes]


class _Film(NamedTuple):
    """An animated PNG.

    Attributes:
        header: the content of IHDR.
        shared: (name, content) of the chunks that apply to all frames.
        parts: the frames.
        plays: how many times the animation is shown; 0: forever.
        has_still: whether the file has a still image that is not part of the animation.
    """

    header: bytes
    shared: list[tuple[bytes, bytes]]
    parts: list[_Part]
    plays: int
    has_still: bool

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture, in pixels."""
        width, height = struct.unpack_from('>II', self.header)
        return width, height


def read_frames(path: str, notes: list[str]) -> frames.Sequence:
    """Read all frames of a file.

    Args:
        path: of the file.
        notes: receives a note if the file has a still image that is not part of the animation.

    Returns:
        The frames. If the file has no animation, the sequence has one size and yields no frames.

    Raises:
        ValueError: the file is damaged or truncated, or the picture is too large.
    """
    with open(path, 'rb') as file:
        data = file.read()
    images.check_pixels(*png.size_of(data))
    said, film = png.said_of(data), _parse(data)
    if not film.parts:
        return frames.Sequence(frames.ANIMATION, [film.size], lambda: iter(()), 1, True)
    if film.has_still:
        notes.append('without its still image, which is not part of the animation')
    return frames.Sequence(
        frames.ANIMATION, [film.size] * len(film.parts), lambda: _compose(film, said), film.plays, True
    )


def _parse(data: bytes) -> _Film:
    """Return the frames in a file's content; no frames if it is not animated. Raise ValueError for damaged chunks."""
    header = b''
    shared: list[tuple[bytes, bytes]] = []
    parts: list[_Part] = []
    plays, is_animated, has_still = 0, False, False
    for name, content in png.chunks_of(data):
        if name == b'IHDR':
            header = content
        elif name in SHARED_CHUNKS:
            shared.append((name, content))
        elif name == b'acTL' and len(content) == 8:
            is_animated, plays = True, struct.unpack('>II', content)[1]
        elif name == b'fcTL' and is_animated:
            parts.append(_control(content))
        elif name == b'IDAT' and parts:
            parts[-1].data.append(content)
        elif name == b'IDAT':
            has_still = True
        elif name == b'fdAT' and parts:
            parts[-1].data.append(content[4:])
        elif name == b'IEND':
            return _Film(header, shared, parts, plays, has_still)
    raise ValueError('the file is truncated')


def _control(content: bytes) -> _Part:
    if len(content) != 26:
        raise ValueError('its chunk fcTL is damaged')
    _, width, height, left, top, numerator, denominator, disposal, blending = struct.unpack('>IIIIIHHBB', content)
    delay = 1000 * numerator / (denominator or 100)
    return _Part((left, top, left + width, top + height), delay, disposal, blending, [])


def _compose(film: _Film, said: metadata.Metadata) -> Iterator[frames.Frame]:
    """Yield the frames that a viewer shows; they have alpha if the file has it, or if the animation clears an area."""
    canvas: np.ndarray | None = None
    clears = any(part.disposal == CLEAR for part in film.parts) or film.parts[0].disposal == RESTORE
    orientation = metadata.orientation_of(said)
    for number, part in enumerate(film.parts, 1):
        try:
            array = _decode(film, part)
        except Exception as error:  # for a damaged file, the library raises exceptions of all kinds
            raise ValueError(f'frame {number} of {len(film.parts)} is damaged: {error}')
        if clears and array.shape[2] not in pixels.ALPHA:
            array = np.concatenate([array, np.full_like(array[:, :, :1], np.iinfo(array.dtype).max)], 2)
        if canvas is None:
            canvas = np.zeros((film.size[1], film.size[0], array.shape[2]), array.dtype)
        before = canvas.copy() if part.disposal == RESTORE and number > 1 else None
        area = frames.crop(canvas, part.box)
        if area.shape != array.shape:
            raise ValueError(f'frame {number} of {len(film.parts)} is outside the picture')
        area[:] = _over(array, area) if part.blending == OVER and array.shape[2] in pixels.ALPHA else array
        yield frames.turned(canvas.copy(), said, orientation, part.delay)
        if before is not None:
            canvas = before
        elif part.disposal != KEEP:
            area[:] = 0


def _decode(film: _Film, part: _Part) -> np.ndarray:
    """Return a frame's pixels (h, w, C), read as a separate PNG."""
    left, top, right, bottom = part.box
    images.check_pixels(right - left, bottom - top)
    header = struct.pack('>II', right - left, bottom - top) + film.header[8:]
    chunks = [(b'IHDR', header), *film.shared, *((b'IDAT', data) for data in part.data), (b'IEND', b'')]
    return png.read(png.SIGNATURE + png.assemble(chunks), [])[0]


def _over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return pixels (h, w, 2 or 4) blended over others, rounded to the nearest (PNG, third edition, 13.16)."""
    top = np.iinfo(above.dtype).max
    a, b = above / np.float64(top), below / np.float64(top)
    upper, lower = a[:, :, -1:], b[:, :, -1:] * (1 - a[:, :, -1:])
    alpha = upper + lower
    colour = (a[:, :, :-1] * upper + b[:, :, :-1] * lower) / np.where(alpha > 0, alpha, 1)
    return np.rint(np.concatenate([colour, alpha], 2) * top).astype(above.dtype)


def save_frames(file: BinaryIO, film: frames.Sequence, how: base.Settings, notes: list[str]) -> None:
    """Write an animation; each frame stores only the part that differs from the frame before it.

    Args:
        file: a binary file.
        film: the frames.
        how: the settings.
        notes: not used.
    """
    before: np.ndarray | None = None
    number = 0  # the sequence number of the next fcTL or fdAT chunk
    for frame in film.frames():
        if before is None:
            file.write(png.head_of(frame.pixels, frame.said))
            file.write(png.assemble([(b'acTL', struct.pack('>II', len(film.sizes), film.plays))]))
        for name, content in _chunks_for(frame, before, how):
            if name != b'IDAT':  # fcTL and fdAT begin with a sequence number
                content = struct.pack('>I', number) + content
                number += 1
            file.write(png.assemble([(name, content)]))
        before = frame.pixels
    file.write(png.assemble([(b'IEND', b'')]))


def _chunks_for(frame: frames.Frame, before: np.ndarray | None, how: base.Settings) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a frame without their sequence numbers. `before` is None for the first frame."""
    box = frames.changed_box(before, frame.pixels)
    left, top, right, bottom = box
    delay = fraction_of(frame.milliseconds)
    yield b'fcTL', struct.pack('>IIIIHHBB', right - left, bottom - top, left, top, *delay, KEEP, SOURCE)
    for data in png_rows.compress(np.ascontiguousarray(frames.crop(frame.pixels, box)), how.compression):
        yield b'IDAT' if before is None else b'fdAT', data


def fraction_of(milliseconds: float) -> tuple[int, int]:
    """Return a time as a fraction of seconds, as exactly as the limits allow.

    Args:
        milliseconds: the time.

    Returns:
        (numerator, denominator), each at most 65535.
    """
    for denominator in (1000, 100, 10, 1):
        numerator = round(milliseconds * denominator / 1000)
        if numerator <= MAX_PART:
            return numerator, denominator
    return MAX_PART, 1


FORMAT = png.FORMAT._replace(read_frames=read_frames, save_frames=save_frames, frame_kind=frames.ANIMATION)
