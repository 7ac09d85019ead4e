"""PNG: read and written with all depths, transparency and colour chunks (PNG, third edition).

imagecodecs (libpng) reads the pixels, and png_rows.py writes them. This module reads and writes the other chunks.
"""

from __future__ import annotations

import fractions
import io
import struct
import zlib
from typing import Any, BinaryIO, Iterable, Iterator

from pictures.formats import base, pixels, png_rows, stderr_capture
from pictures.metadata import exif, metadata, photoshop, raw_profiles
from rdn import images

import numpy as np
from PIL import Image

SIGNATURE = b'\x89PNG\r\n\x1a\n'
END_OF_HEADER = len(SIGNATURE) + 25  # the offset at which the chunk IHDR ends
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # number of channels: PNG's colour type
CRITICAL_CHUNKS = (b'IHDR', b'PLTE', b'IDAT', b'IEND')
PART_BYTES = 1 << 20  # of rows, checked at a time
# The passes of interlacing: first column, first row, step between columns, step between rows.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
COLOUR_CHUNKS = (b'gAMA', b'cHRM', b'cICP', b'sRGB')
XMP_KEYWORD = 'XML:com.adobe.xmp'
MAX_SIDE_PIXELS = 1_000_000  # libpng's own limit
MAX_CHUNK_BYTES = 1 << 24  # for the decompressed content of a chunk, and for all texts together
INCHES_A_METRE = 39.37007874
COMPRESSION = 6  # zlib's default level, for profiles


def read(data: bytes, notes: list[str]) -> tuple[np.ndarray, metadata.Metadata, int | None]:
    """Read a PNG file's content.

    If the PNG is animated, this is its default image, which every program shows.

    Args:
        data: the file's content.
        notes: receives notes on the parts of the file that are left out.

    Returns:
        The pixels (H, W, C), uint8 or uint16; the metadata; EXIF's orientation, which is not applied yet.

    Raises:
        ValueError: the file is damaged or truncated.
    """
    import imagecodecs  # imported here because it takes time, and runs without PNG, TIFF and JPEG 2000 never need it

    check_whole(data)
    said = _read_chunks(data, notes)
    _check_palette(data)
    with stderr_capture.libraries():
        array = imagecodecs.png_decode(_pixels_alone(data))
    return pixels.as_planes_last(array), said, metadata.orientation_of(said)


def check_whole(data: bytes) -> None:
    """Check a file's content before libpng reads it, because the libpng for Python 3.7 ends the process at an error.

    Raises:
        ValueError: the file is damaged or truncated.
    """
    packed, position = zlib.decompressobj(), len(SIGNATURE)
    names, last = set(), b''
    rows = _Rows((1, 1, 8, 0, 0))
    needs_palette = False
    while last != b'IEND':
        length = int.from_bytes(data[position : position + 4], 'big')
        name, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        crc = data[position + 8 + length : position + 12 + length]
        if len(crc) < 4:
            raise ValueError('the file is truncated')
        if not name.isalpha():
            raise ValueError('its chunks are damaged')
        is_critical = not name[0] & 0x20
        if is_critical and (name not in CRITICAL_CHUNKS or zlib.crc32(name + content) != int.from_bytes(crc, 'big')):
            raise ValueError(f'its chunk {name!r} is damaged')
        if not names:
            header = _check_header(name, content)
            rows, needs_palette = _Rows(header), header[3] == 3
        elif name == b'IHDR' or name == b'PLTE' and not names.isdisjoint((b'PLTE', b'IDAT')):
            raise ValueError('its chunks are out of order')
        elif name == b'IDAT':
            if b'IDAT' in names and last != b'IDAT' or needs_palette and b'PLTE' not in names:
                raise ValueError('its chunks are out of order')
            rows.take(_unpack(packed, content))
        elif name == b'PLTE' and (length % 3 or not 0 < length <= 768):
            raise ValueError('its palette is damaged')
        names.add(name)
        last = name
        position += length + 12
    rows.check_end()
    if not packed.eof:
        raise ValueError('the file is truncated: the end of its compressed rows is missing')


def _check_palette(data: bytes) -> None:
    """Raise ValueError if pixels use colours that the palette lacks; libpng would make such pixels black."""
    header, palette = data[len(SIGNATURE) + 8 : END_OF_HEADER], dict(chunks_of(data)).get(b'PLTE', b'')
    if header[9] != 3 or len(palette) // 3 >= 1 << header[8]:
        return
    with Image.open(io.BytesIO(_pixels_alone(data))) as image:
        if image.mode == 'P' and image.getextrema()[1] >= len(palette) // 3:
            raise ValueError('its palette lacks colours that it uses')


def _pixels_alone(data: bytes) -> bytes:
    """Return the file without the chunks that libpng does not need and could fail on."""
    chunks = chunks_of(data)
    return SIGNATURE + b''.join(_chunk(*chunk) for chunk in chunks if chunk[0] in (*CRITICAL_CHUNKS, b'tRNS'))


def _check_header(name: bytes, content: bytes) -> tuple[int, int, int, int, int]:
    """Return (width, height, bit depth, colour type, interlacing) of IHDR; raise ValueError for impossible values."""
    if name != b'IHDR' or len(content) != 13:
        raise ValueError('its header is damaged')
    width, height, depth, kind, compression, filtering, interlacing = struct.unpack('>IIBBBBB', content)
    allowed = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    if depth not in allowed.get(kind, ()) or compression or filtering or interlacing > 1 or not (width and height):
        raise ValueError('its header contains impossible values')
    if max(width, height) > MAX_SIDE_PIXELS:
        raise ValueError(f'a side is longer than {MAX_SIDE_PIXELS:,} pixels')
    return width, height, depth, kind, interlacing


def _unpack(packed: Any, content: bytes) -> Iterator[bytes]:
    """Yield the decompressed bytes of an IDAT chunk, at most PART_BYTES at a time."""
    try:
        while content and not packed.eof:
            yield packed.decompress(content, PART_BYTES)
            content = packed.unconsumed_tail
    except zlib.error:
        raise ValueError('its compressed rows are damaged')


class _Rows:
    """A checker of decompressed rows: of their filters and of their number."""

    def __init__(self, header: tuple[int, int, int, int, int]):
        width, height, depth, kind, interlacing = header
        bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
        passes = ADAM7 if interlacing else ((0, 0, 1, 1),)
        sizes = [(-((left - width) // right), -((top - height) // down)) for left, top, right, down in passes]
        # For each pass: the number of rows, and the bytes of a row including its filter byte.
        self._passes = [(rows, 1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0]
        self._rest = b''

    def take(self, parts: Iterator[bytes]) -> None:
        for part in parts:
            data = self._rest + part
            while self._passes and data:
                rows, size = self._passes[0]
                whole = min(rows, len(data) // size)
                if max(data[: whole * size : size], default=0) > 4:
                    raise ValueError('its rows are damaged')
                data = data[whole * size :]
                if whole < rows:
                    self._passes[0] = rows - whole, size
                    break
                del self._passes[0]
            self._rest = data if self._passes else b''

    def check_end(self) -> None:
        if self._passes:
            raise ValueError('the file is truncated: rows are missing')


def size_of(head: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels, from the first bytes of a file."""
    width, height = struct.unpack_from('>II', head, len(SIGNATURE) + 8)
    return width, height


def chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, content) of each chunk, up to the file's end or the place where the file is truncated."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], 'big')
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += length + 12


def _read_chunks(data: bytes, notes: list[str]) -> metadata.Metadata:
    said: dict[str, Any] = {'png_colour': {}}
    text: list[metadata.Text] = []
    frames, has_control, room, damaged_texts = 0, False, MAX_CHUNK_BYTES, 0
    for name, content in chunks_of(data):
        if name in COLOUR_CHUNKS:
            said['png_colour'][name] = content
        elif name == b'iCCP':
            said['icc_profile'] = _inflate(content.partition(b'\0')[2][1:])
        elif name == b'eXIf':
            said['exif'] = metadata.read_exif(content, notes)
        elif name == b'pHYs' and len(content) == 9:
            dots = struct.unpack('>II', content[:8])
            if content[8] == 1:
                said['dpi'] = metadata.read_dpi([x / INCHES_A_METRE for x in dots], notes)
            elif dots[0] != dots[1] and all(dots):
                said['pixel_aspect'] = dots
        elif name in (b'tEXt', b'zTXt', b'iTXt'):
            found = _read_text(name, content) if room > 0 else None
            if found is None:
                damaged_texts += 1
                continue
            room -= len(found.text)
            if found.keyword == XMP_KEYWORD:
                said['xmp'] = found.text.encode('utf-8', 'surrogateescape')
            else:
                text.append(found)
        elif name == b'acTL' and len(content) == 8:
            frames = int.from_bytes(content[:4], 'big')
        elif name == b'fcTL' and not has_control:
            has_control = True
        elif name == b'IDAT' and frames > 1:
            which = 'the first' if has_control else 'the still image'
            notes.append(f'{which} of {frames} frames{base.ALL_FRAMES}')
            frames = 0
    if damaged_texts:
        notes.append(f'without {damaged_texts} of its texts, which are damaged or too large')
    if said.get('icc_profile'):
        # The profile takes precedence over all colour chunks except cICP (PNG, third edition, 4.3).
        said['png_colour'] = {key: value for key, value in said['png_colour'].items() if key == b'cICP'}
    return raw_profiles.taken(metadata.Metadata(text=tuple(text), **said), notes)


def _inflate(data: bytes) -> bytes | None:
    """Return the decompressed content of a chunk; None if it is damaged or larger than MAX_CHUNK_BYTES."""
    try:
        stream = zlib.decompressobj()
        content = stream.decompress(data, MAX_CHUNK_BYTES)
    except zlib.error:
        return None
    return content if stream.eof else None


def _read_text(name: bytes, content: bytes) -> metadata.Text | None:
    """Return the text of a chunk; None if it is damaged."""
    key, _, rest = content.partition(b'\0')
    encoding, packed, language, translated = 'latin-1', name == b'zTXt', b'', b''
    if packed:
        rest = rest[1:]
    elif name == b'iTXt':
        encoding, packed = 'utf-8', rest[:1] == b'\1'
        language, _, rest = rest[2:].partition(b'\0')
        translated, _, rest = rest.partition(b'\0')
    text = _inflate(rest) if packed else rest
    if text is None or not key:
        return None
    names = key.decode('latin-1'), text.decode(encoding, 'surrogateescape')
    return metadata.Text(*names, language.decode('ascii', 'replace'), translated.decode('utf-8', 'replace'))


def _chunks_for(said: metadata.Metadata) -> Iterator[bytes]:
    if said.icc_profile:
        yield _chunk(b'iCCP', b'ICC profile\0\0' + zlib.compress(said.icc_profile, COMPRESSION))
    for name, content in said.png_colour.items():
        yield _chunk(name, content)
    if said.exif:
        yield _chunk(b'eXIf', exif.serialise(said.exif))
    if said.dpi:
        yield _chunk(b'pHYs', struct.pack('>IIB', *(round(x * INCHES_A_METRE) for x in said.dpi), 1))
    elif said.pixel_aspect:
        yield _chunk(b'pHYs', struct.pack('>IIB', *_whole_ratio(said.pixel_aspect), 0))
    if said.xmp:
        yield _chunk(b'iTXt', f'{XMP_KEYWORD}\0\0\0\0\0'.encode('ascii') + said.xmp)
    if said.photoshop:
        keyword, profile = raw_profiles.written(photoshop.serialise(said.photoshop))
        yield _chunk(b'zTXt', keyword.encode() + b'\0\0' + zlib.compress(profile, COMPRESSION))
    for each in said.text:
        yield _chunk(b'iTXt', _text_content(each))


def _text_content(each: metadata.Text) -> bytes:
    keyword, language = each.keyword.encode('latin-1', 'replace')[:79], each.language.encode('ascii', 'replace')
    translated, text = (
        metadata.plain_text(text).replace('\0', ' ').encode('utf-8', 'replace') for text in (each.translated, each.text)
    )
    return keyword + b'\0\0\0' + language + b'\0' + translated + b'\0' + text


def _whole_ratio(pair: tuple[float, float]) -> tuple[int, int]:
    """Return two whole numbers in about the same ratio."""
    ratio = fractions.Fraction(pair[0] / pair[1]).limit_denominator(10_000)
    return max(1, min(1 << 30, ratio.numerator)), ratio.denominator


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack('>I', len(content)) + name + content + struct.pack('>I', zlib.crc32(name + content))


def said_of(data: bytes) -> metadata.Metadata:
    """Return the metadata in a file's content."""
    return _read_chunks(data, [])


def assemble(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of chunks with their lengths and checksums.

    Args:
        chunks: (name, content) of each chunk.
    """
    return b''.join(_chunk(name, content) for name, content in chunks)


def head_of(array: np.ndarray, said: metadata.Metadata) -> bytes:
    """Return all bytes of a file before its pixels.

    Args:
        array: the pixels (H, W, C), uint8 or uint16.
        said: the metadata.
    """
    height, width, channels = array.shape
    header = struct.pack('>IIBBBBB', width, height, 8 * array.itemsize, COLOUR_TYPES[channels], 0, 0, 0)
    return SIGNATURE + _chunk(b'IHDR', header) + b''.join(_chunks_for(said))


def write(file: BinaryIO, array: np.ndarray, said: metadata.Metadata, how: base.Settings) -> None:
    """Write a PNG file, one band of rows at a time.

    Args:
        file: a binary file.
        array: pixels (H, W, C), uint8 or uint16.
        said: the metadata.
        how: the settings.
    """
    file.write(head_of(array, said))
    for part in png_rows.compress(array, how.compression):
        file.write(_chunk(b'IDAT', part))
    file.write(_chunk(b'IEND', b''))


def read_checked(data: bytes, notes: list[str]) -> base.Content:
    """Read a file's content as `read` does, unless the picture is too large.

    Raises:
        ValueError: the file is damaged or truncated, or the picture is too large.
    """
    if len(data) < END_OF_HEADER:
        raise ValueError('the file is truncated')
    images.check_pixels(*size_of(data))
    return read(data, notes)


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image of 8 bits per channel to a binary file."""
    write(file, pixels.as_planes_last(np.asarray(image)), said, how)


FORMAT = base.Format(
    'PNG',
    ('.png', '.apng'),
    lambda head: head.startswith(SIGNATURE),
    base.whole(read_checked),
    size=base.size_by_head(size_of),
    written=('.png', '.apng'),
    save=save,
    save_8_bits=write,
    save_16_bits=write,
    has_colour_chunks=True,
    holds=frozenset(('exif', 'xmp', 'icc_profile', 'dpi', 'pixel_aspect', 'text', 'photoshop')),
)
