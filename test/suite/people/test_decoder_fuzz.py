"""Mutated files of every format: each is read or refused with its name, and the process that reads them stays alive."""

import io
import os
import random
import subprocess
import sys
import time

from pictures.formats import base, png, reader, registry, writer
from pictures.metadata import metadata

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from helpers import ROOT

SECONDS = 75
SLOW_SECONDS = 20  # for one small file


def seeds(folder):
    """Write small pictures of all formats, modes and depths that this Python's libraries write; returns their paths."""
    values = np.random.RandomState(0).randint(0, 256, (23, 37, 4)).astype(np.uint8)
    values[4:16, 5:30] = 90
    rgba, rgb, grey = (
        Image.fromarray(values),
        Image.fromarray(values[:, :, :3].copy()),
        Image.fromarray(values[:, :, 0]),
    )
    said = metadata.Metadata(dpi=(300, 300), text=(metadata.Text('Title', 'x'),), xmp=b'<x:xmpmeta/>')
    for ending in registry.WRITABLE:
        for channels in (1, 2, 3, 4):
            canvas = writer.Canvas(37, 23, channels, np.dtype(np.uint8), ending)
            canvas.put(slice(0, 23), slice(0, 37), values[:, :, :channels].copy())
            with open(os.path.join(folder, f'{channels}{ending}'), 'w+b') as file:
                canvas.save(file, said, base.Settings())
    for name, image in (('a', rgba), ('b', rgb), ('c', grey), ('d', rgb.convert('P')), ('e', grey.convert('1'))):
        image.convert('RGB' if name == 'a' else image.mode).save(os.path.join(folder, f'{name}.gif'))
        image.save(os.path.join(folder, f'{name}.tga'))
        image.save(os.path.join(folder, f'{name}.png'))
        image.save(os.path.join(folder, f'{name}.tif'), compression='tiff_lzw')
    rgb.convert('CMYK').save(os.path.join(folder, 'cmyk.jpg'))
    rgb.convert('CMYK').save(os.path.join(folder, 'cmyk.tif'))
    rgb.save(os.path.join(folder, 'progressive.jpg'), progressive=True)
    rgb.save(os.path.join(folder, 'a.ppm'))
    grey.save(os.path.join(folder, 'a.pgm'))
    for compression in (None, 'zlib', 'packbits', 'jpeg'):
        tifffile.imwrite(os.path.join(folder, f'{compression}.tif'), values[:, :, :3], compression=compression)
    tifffile.imwrite(os.path.join(folder, 'deep.tif'), values.astype(np.uint16) * 257, tile=(16, 16), photometric='rgb')
    _write_coded(folder, values)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def _write_coded(folder, values):
    """Formats of imagecodecs and pillow-heif, where this Python has them."""
    rgb, deep = values[:, :, :3].copy(), values[:, :, :3].astype(np.uint16) * 257
    makers = {
        'a.jp2': lambda: imagecodecs.jpeg2k_encode(rgb),
        'b.jp2': lambda: imagecodecs.jpeg2k_encode(deep),
        'a.j2k': lambda: imagecodecs.jpeg2k_encode(rgb, codecformat='J2K'),
        'a.jxl': lambda: imagecodecs.jpegxl_encode(rgb, lossless=True),
        'b.jxl': lambda: imagecodecs.jpegxl_encode(values, distance=1, usecontainer=True),
        'c.jxl': lambda: imagecodecs.jpegxl_encode(deep, lossless=True),
        'd.jxl': lambda: imagecodecs.jpegxl_encode(np.stack([rgb] * 2), lossless=True),
        'a.avif': lambda: imagecodecs.avif_encode(deep >> 6, bitspersample=10, speed=9),
        'b.avif': lambda: imagecodecs.avif_encode(values, speed=9),
    }
    for name, make in makers.items():
        try:
            data = make()
        except Exception:  # an older imagecodecs
            continue
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(data)
    if sys.version_info >= (3, 10):
        import pillow_heif

        pillow_heif.from_pillow(Image.fromarray(values)).save(os.path.join(folder, 'a.heic'))


def mutate(data, chance):
    """Bytes flipped, set to extremes, cut off, doubled or swapped, the more often in the first 200."""
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not result:
            break
        place = chance.randrange(min(len(result), chance.choice((40, 200, len(result)))))
        way = chance.randrange(6)
        if way == 0:
            result[place] ^= 1 << chance.randrange(8)
        elif way == 1:
            result[place] = chance.choice((0, 1, 127, 128, 254, 255))
        elif way == 2:
            result[place : place + 4] = chance.choice(
                (b'\xff\xff\xff\xff', b'\0\0\0\0', b'\x7f\xff\xff\xff', b'\0\0\1\0')
            )
        elif way == 3 and chance.random() < 0.3:
            del result[place:]
        elif way == 4:
            length = chance.randrange(1, 64)
            result[place:place] = result[place : place + length]
        else:
            result[place] = chance.randrange(256)
    return bytes(result)


def repaired(data, chance):
    """Return a PNG with correct checksums, so that the mutation reaches the code behind their check.

    In some files a chunk is repeated, missing or moved.
    """
    if not data.startswith(png.SIGNATURE):
        return data
    chunks = list(png.chunks_of(data))
    if chunks and chance.random() < 0.3:
        chunk = chance.choice(chunks)
        if chance.random() < 0.5:
            chunks.remove(chunk)
        chunks.insert(chance.randrange(len(chunks) + 1), chunk)
    return png.SIGNATURE + b''.join(png._chunk(name, content) for name, content in chunks)


def fuzz(folder, seconds, seed, endings=tuple(registry.READABLE)):
    """Read mutated files for some seconds; prints how many were read, refused, and crashed their decoder's process."""
    chance = random.Random(seed)
    files = []
    for path in seeds(os.path.join(folder, 'seeds')):
        if not path.endswith(endings):
            continue
        with open(path, 'rb') as file:
            files.append((os.path.splitext(path)[1], file.read()))
    counts = {'read': 0, 'refused': 0, 'crashed': 0}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ending, data = chance.choice(files)
        data = mutate(data, chance)
        if chance.random() < 0.5:
            data = repaired(data, chance)
        path = os.path.join(folder, f'mutated{ending}')
        with open(path, 'wb') as file:
            file.write(data)
        begin = time.monotonic()
        try:
            picture = reader.read_picture(path)
            assert picture.pixels.ndim == 3 and picture.pixels.dtype in (np.uint8, np.uint16), path
            counts['read'] += 1
        except (ValueError, MemoryError) as error:
            assert isinstance(error, MemoryError) or str(error).startswith(path), error
            crashed = 'the decoder of' in str(error)
            counts['crashed' if crashed else 'refused'] += 1
            if crashed:
                keep(folder, data, ending, error)
        reader.read_size(path)
        if time.monotonic() - begin > SLOW_SECONDS:
            raise AssertionError(f'{path}: {time.monotonic() - begin:.0f} seconds')
    print(counts)


def keep(folder, data, ending, error):
    """Keep a file that crashed its decoder, to look at."""
    with open(os.path.join(folder, f'crash{len(os.listdir(folder))}{ending}'), 'wb') as file:
        file.write(data)
    print(error)


# Chunks of a PNG with a palette, by their numbers in its right order: IHDR, PLTE, IDAT, IEND.
@pytest.mark.parametrize(
    'order', [(0, 0, 1, 2, 3), (0, 1, 1, 2, 3), (0, 1, 2, 1, 3), (0, 1, 2, 0, 3), (1, 0, 2, 3), (0, 2, 1, 3)]
)
def test_a_png_whose_chunks_repeat_or_are_out_of_order_is_refused_in_words(tmp_path, order):
    """libpng refuses it too, but the version for Python 3.7 then ends the process."""
    stream = io.BytesIO()
    Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).convert('P').save(stream, 'PNG')
    chunks = list(png.chunks_of(stream.getvalue()))
    assert [name for name, _ in chunks] == [b'IHDR', b'PLTE', b'IDAT', b'IEND']
    path = tmp_path / 'a.png'
    path.write_bytes(png.SIGNATURE + b''.join(png._chunk(*chunks[number]) for number in order))
    with pytest.raises(ValueError, match='(out of order|header is damaged)$'):
        reader.read_picture(str(path))


@pytest.mark.parametrize('length', [8, 10, 24, 32])
def test_a_png_that_ends_in_its_header_is_refused_in_words(tmp_path, length):
    stream = io.BytesIO()
    Image.new('RGB', (4, 4)).save(stream, 'PNG')
    (tmp_path / 'a.png').write_bytes(stream.getvalue()[:length])
    with pytest.raises(ValueError, match='the file is truncated$'):
        reader.read_picture(str(tmp_path / 'a.png'))


@pytest.mark.parametrize('lost', range(1, 7))
def test_a_png_that_lacks_the_end_of_its_compressed_rows_is_refused_in_words(tmp_path, lost):
    """All rows are there; the checksum after them, or the end of the last block, is not."""
    stream = io.BytesIO()
    Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).save(stream, 'PNG')
    chunks = [(name, data[:-lost] if name == b'IDAT' else data) for name, data in png.chunks_of(stream.getvalue())]
    path = tmp_path / 'a.png'
    path.write_bytes(png.SIGNATURE + b''.join(png._chunk(*chunk) for chunk in chunks))
    with pytest.raises(ValueError, match='the file is truncated'):
        reader.read_picture(str(path))


@pytest.mark.slow
def test_mutated_files_are_read_or_refused_and_end_nothing(tmp_path):
    """In a process of its own, so that its end by a signal is seen."""
    (tmp_path / 'seeds').mkdir()
    path = os.pathsep.join([ROOT, os.path.dirname(os.path.abspath(__file__)), *sys.path])
    code = f'import test_decoder_fuzz as t; t.fuzz({str(tmp_path)!r}, {SECONDS}, 1)'
    ended = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': path},
        capture_output=True,
    )
    assert ended.returncode == 0, (ended.returncode, ended.stderr.decode()[-2000:])
    assert b"'read': " in ended.stdout
