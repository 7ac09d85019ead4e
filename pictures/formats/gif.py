"""GIF: Pillow reads a single picture; this module reads and writes animations frame by frame (GIF89a).

Pillow decodes and compresses the pixels of each frame. This module reads and writes the blocks around them, because
Pillow keeps all frames of an animation in memory when it writes, and because its old versions confuse palettes.
"""

from __future__ import annotations

import io
import itertools
import struct
from typing import BinaryIO, Iterator, NamedTuple

from pictures.formats import base, frames, pillow, pixels
from pictures.metadata import colour, metadata
from rdn import images

import numpy as np
from PIL import Image

SIGNATURES = (b'GIF87a', b'GIF89a')
EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B
CONTROL, COMMENT, APPLICATION = 0xF9, 0xFE, 0xFF  # kinds of extensions
LOOPS = (b'NETSCAPE2.0', b'ANIMEXTS1.0')
KEEP, CLEAR, RESTORE = 1, 2, 3  # disposal methods: how a frame is treated before the next one is drawn
COLOURS = 255  # the most that a frame can have in addition to the transparent one
TRANSPARENT = 255  # the index of the transparent colour
MAX_SIDE = 65535
MAX_DELAY = 65535  # hundredths of a second
# 256 colours that are not grey, because Pillow would turn a grey palette into grey values instead of indices.
ANY_PALETTE = bytes(value for index in range(256) for value in (index, 255 - index, 0))


class _Part(NamedTuple):
    """A frame as a GIF stores it.

    Attributes:
        box: the part of the picture that it covers.
        flags: of its image descriptor.
        palette: three bytes for each colour.
        data: its compressed indices.
        delay: how long it is shown, in hundredths of a second.
        disposal: KEEP, CLEAR, RESTORE or another value.
        transparent: the index of its transparent colour; -1 if it has none.
    """

    box: frames.Box
    flags: int
    palette: bytes
    data: bytes
    delay: int
    disposal: int
    transparent: int


class _Film(NamedTuple):
    """A whole GIF; its pixels are still compressed.

    Attributes:
        size: (width, height) in pixels.
        parts: the frames.
        plays: how many times the animation is shown; 0: forever.
        comment: the comments, joined.
    """

    size: tuple[int, int]
    parts: list[_Part]
    plays: int
    comment: bytes


def read_frames(path: str, notes: list[str]) -> frames.Sequence:
    """Read all frames of a file.

    Args:
        path: of the file.
        notes: not used.

    Raises:
        ValueError: the file is damaged or truncated, or the picture is too large.
    """
    with open(path, 'rb') as file:
        film = _parse(file.read())
    images.check_pixels(*film.size)
    said = metadata.Metadata(text=(metadata.comment(film.comment),) if film.comment else ())
    return frames.Sequence(
        frames.ANIMATION, [film.size] * len(film.parts), lambda: _compose(film, said), film.plays, is_lossless=False
    )


def _compose(film: _Film, said: metadata.Metadata) -> Iterator[frames.Frame]:
    """Yield the frames that a viewer shows, in RGBA."""
    canvas = np.zeros((film.size[1], film.size[0], 4), np.uint8)
    for number, part in enumerate(film.parts, 1):
        try:
            indices = _decode(part)
        except Exception as error:  # for a damaged file, Pillow raises exceptions of all kinds
            raise ValueError(f'frame {number} of {len(film.parts)} is damaged: {error}')
        before = canvas.copy() if part.disposal == RESTORE else None
        area = frames.crop(canvas, part.box)
        indices = indices[: area.shape[0], : area.shape[1]]  # a part of the frame may be outside the picture
        drawn = indices != part.transparent
        table = np.zeros((256, 4), np.uint8)
        colours = np.frombuffer(part.palette, np.uint8).reshape(-1, 3)
        table[: len(colours), :3], table[:, 3] = colours, 255
        area[drawn] = table[indices[drawn]]
        yield frames.Frame(canvas.copy(), said, 10 * part.delay)
        if before is not None:
            canvas = before
        elif part.disposal == CLEAR:
            area[:] = 0


def _decode(part: _Part) -> np.ndarray:
    """Return the indices (h, w) of a frame. Pillow decodes them from a file that contains only this frame."""
    width, height = part.box[2] - part.box[0], part.box[3] - part.box[1]
    images.check_pixels(width, height)
    head = SIGNATURES[1] + struct.pack('<HHBBB', width, height, 0xF7, 0, 0) + ANY_PALETTE
    descriptor = struct.pack('<BHHHHB', IMAGE, 0, 0, width, height, part.flags & 0x40)
    with Image.open(io.BytesIO(head + descriptor + part.data + bytes([TRAILER]))) as image:
        image.load()
        return np.asarray(image)


def _parse(data: bytes) -> _Film:
    """Return the frames in a file's content; raise ValueError if it is damaged or truncated."""
    try:
        return _parse_blocks(data)
    except (struct.error, IndexError):
        raise ValueError('the file is truncated')


def _parse_blocks(data: bytes) -> _Film:
    width, height, flags = struct.unpack_from('<HHB', data, 6)
    palette, position = _palette_at(data, 13, flags)
    parts: list[_Part] = []
    plays, comment, control = 1, b'', (0, 0, -1)
    while position < len(data) and data[position] != TRAILER:  # some programs write no trailer
        kind = data[position]
        if kind == EXTENSION:
            name = data[position + 1]
            blocks, position = _blocks_at(data, position + 2)
            content = b''.join(blocks)
            if name == CONTROL and len(content) >= 4:
                control = _control(content)
            elif name == COMMENT:
                comment += content
            elif name == APPLICATION and blocks[0] in LOOPS and len(content) >= 14:
                repeats = struct.unpack_from('<H', content, 12)[0]
                plays = repeats + 1 if repeats else 0
        elif kind == IMAGE:
            left, top, w, h, own = struct.unpack_from('<HHHHB', data, position + 1)
            local, start = _palette_at(data, position + 10, own)
            _, position = _blocks_at(data, start + 1)
            box = (left, top, left + w, top + h)
            parts.append(_Part(box, own, local or palette, data[start:position], *control))
            control = (0, 0, -1)
        elif kind == 0 and parts:  # some programs write fill bytes
            position += 1
        else:
            raise ValueError('its blocks are damaged')
    if not parts:
        raise ValueError('contains no picture')
    if not (width and height):
        width, height = parts[0].box[2:]
    return _Film((width, height), parts, plays, comment)


def _control(content: bytes) -> tuple[int, int, int]:
    """Return the delay in hundredths of a second, the disposal, and the transparent index or -1."""
    flags, delay, index = struct.unpack_from('<BHB', content)
    return delay, flags >> 2 & 7, index if flags & 1 else -1


def _palette_at(data: bytes, position: int, flags: int) -> tuple[bytes, int]:
    """Return the palette, which is empty if the flags name none, and the position after it."""
    size = 3 << (flags & 7) + 1 if flags & 0x80 else 0
    return data[position : position + size], position + size


def _blocks_at(data: bytes, position: int) -> tuple[list[bytes], int]:
    """Return the blocks before the empty block that ends them, and the position after that one."""
    blocks = []
    while data[position]:
        end = position + 1 + data[position]
        blocks.append(data[position + 1 : end])
        position = end
    return blocks, position + 1


class _Drawn(NamedTuple):
    """A frame to write.

    Attributes:
        colours: (H, W, 3), uint8, in sRGB.
        opaque: (H, W), bool.
        milliseconds: how long it is shown.
    """

    colours: np.ndarray
    opaque: np.ndarray
    milliseconds: float


def save_frames(file: BinaryIO, film: frames.Sequence, _: base.Settings, notes: list[str]) -> None:
    """Write an animation; its alpha becomes 1 bit.

    If the next frame is transparent where the current one is opaque, viewers clear the whole current frame before they
    draw the next one. Otherwise the next frame contains only the pixels that differ.

    Args:
        file: a binary file.
        film: the frames.
        notes: not used.
    """
    coming = film.frames()
    first = next(coming)
    _write_head(file, first, film.plays, notes)
    flat = map(_flatten, itertools.chain([first], coming))
    current, before = next(flat, None), None  # before: the frame that is visible when the current one is drawn, or None
    # Sums of the exact times (in ms) and the rounded ones (in units of 10 ms), so that rounding errors do not add up.
    elapsed = written = 0.0
    while current:
        following = next(flat, None)
        clears = following is not None and bool((current.opaque & ~following.opaque).any())
        elapsed += current.milliseconds
        delay = max(0, round(elapsed / 10 - written))
        written += delay
        _write_frame(file, current, before, CLEAR if clears else KEEP, min(MAX_DELAY, delay))
        before, current = None if clears else current, following
    file.write(bytes([TRAILER]))


def _write_head(file: BinaryIO, first: frames.Frame, plays: int, notes: list[str]) -> None:
    height, width = first.pixels.shape[:2]
    file.write(SIGNATURES[1] + struct.pack('<HHBBB', width, height, 0, 0, 0))
    if plays != 1:
        repeats = struct.pack('<H', min(65535, plays - 1 if plays else 0))
        file.write(bytes([EXTENSION, APPLICATION, 11]) + LOOPS[0] + b'\3\1' + repeats + b'\0')
    for text in first.said.text:
        comment = text.text.encode('utf-8', 'surrogateescape')
        parts = [comment[start : start + 255] for start in range(0, len(comment), 255)]
        file.write(bytes([EXTENSION, COMMENT]) + b''.join(bytes([len(x)]) + x for x in parts) + b'\0')


def _flatten(frame: frames.Frame) -> _Drawn:
    """Return a frame in sRGB with 8 bits, each pixel either opaque or transparent."""
    array = pixels.to_8_bits(frame.pixels)
    has_alpha = array.shape[2] in pixels.ALPHA
    opaque = array[:, :, -1] >= 128 if has_alpha else np.ones(array.shape[:2], bool)
    plain = array[:, :, :-1] if has_alpha else array
    rgb = plain if plain.shape[2] == 3 else plain.repeat(3, 2)
    if frame.said.icc_profile:
        image = Image.fromarray(np.ascontiguousarray(rgb))
        rgb = np.asarray(colour.to_srgb(image, frame.said.icc_profile))
    return _Drawn(np.where(opaque[:, :, np.newaxis], rgb, 0).astype(np.uint8), opaque, frame.milliseconds)


def _write_frame(file: BinaryIO, frame: _Drawn, before: _Drawn | None, disposal: int, delay: int) -> None:
    drawn = frame.opaque
    if before is not None:
        drawn = drawn & (~before.opaque | (frame.colours != before.colours).any(2))
    whole = (0, 0, drawn.shape[1], drawn.shape[0])
    box = whole if disposal == CLEAR or before is None else frames.box_of(drawn)
    indices, palette = _quantize(frames.crop(frame.colours, box), frames.crop(drawn, box))
    # Every frame has a transparent colour, because some readers look only at the first frame for transparency.
    flags = disposal << 2 | 1
    file.write(struct.pack('<BBBBHBB', EXTENSION, CONTROL, 4, flags, delay, TRANSPARENT, 0))
    left, top, right, bottom = box
    file.write(struct.pack('<BHHHHB', IMAGE, left, top, right - left, bottom - top, 0x87) + palette)
    file.write(_compressed(indices))


def _quantize(colours: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, bytes]:
    """Return indices (h, w), TRANSPARENT for pixels that are not drawn, and a palette of 256 colours.

    Up to COLOURS colours stay exact. Median cut reduces more colours, with Floyd-Steinberg dithering.
    """
    packed = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, places = np.unique(packed[drawn], return_inverse=True)
    indices = np.full(drawn.shape, TRANSPARENT, np.uint8)
    if len(found) <= COLOURS:
        table = np.stack([found >> 16, found >> 8 & 255, found & 255], 1).astype(np.uint8)
        indices[drawn] = places.ravel()
    else:
        some = Image.fromarray(np.ascontiguousarray(colours[drawn][np.newaxis]))
        reduced = some.quantize(COLOURS)
        table = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)[: int(np.asarray(reduced).max()) + 1]
        filled = np.concatenate([table, table[:1].repeat(256 - len(table), 0)])
        guide = Image.new('P', (1, 1))
        guide.putpalette(filled.tobytes())
        nearest = np.asarray(Image.fromarray(np.ascontiguousarray(colours)).quantize(palette=guide))
        indices[drawn] = np.where(nearest < len(table), nearest, 0)[drawn]
    return indices, table.tobytes().ljust(768, b'\0')


def _compressed(indices: np.ndarray) -> bytes:
    """Return compressed indices (h, w), which Pillow writes to a separate file."""
    image = Image.fromarray(np.ascontiguousarray(indices))
    image.putpalette(ANY_PALETTE)
    buffer = io.BytesIO()
    image.save(buffer, 'GIF', optimize=False, interlace=False)
    return _parse(buffer.getvalue()).parts[0].data


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image of 8 bits per channel to a binary file."""
    frame = frames.Frame(pixels.as_planes_last(np.asarray(image)), said)
    save_frames(file, frames.Sequence(frames.ANIMATION, [image.size], lambda: iter([frame])), how, notes)


def is_mine(head: bytes) -> bool:
    """Return whether a file's first bytes are those of GIF."""
    return head[:6] in SIGNATURES


FORMAT = base.Format(
    'GIF',
    ('.gif',),
    is_mine,
    pillow.read,
    max_side=MAX_SIDE,
    save=save,
    has_grey=False,
    has_loss=True,
    read_frames=read_frames,
    save_frames=save_frames,
    holds=frozenset(('text', 'icc_profile')),  # the profile is applied to the pixels
    frame_kind=frames.ANIMATION,
)
