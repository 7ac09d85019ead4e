"""Reading of each picture format: the pixels are exactly those in the file, or the file is refused."""

import io
import os
import struct
import sys

from pictures.formats import avif, base, pixels, png, reader, registry, writer
from pictures.metadata import metadata

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from helpers import write_png

MODERN = sys.version_info >= (3, 10)


def read(path):
    return reader.read_picture(str(path))


@pytest.fixture
def colour(photo):
    """Return the pixels (127, 201, 3), uint8, of a photograph."""
    return np.asarray(photo)


def full_scale(array, bits):
    """Return whole numbers of some bits scaled to 8 or 16 bits, computed in floating point."""
    full = 255 if bits <= 8 else 65535
    return np.floor(array.astype(np.float64) * full / ((1 << bits) - 1) + 0.5)


# --- the registry


def test_each_format_lists_the_endings_with_which_it_is_written():
    usual = {'.png', '.apng', '.tif', '.tiff', '.btf', '.webp', '.bmp', '.dib', '.jxl'}
    usual |= {'.jpg', '.jpeg', '.jfif', '.jpe', '.jif', '.mpo'}
    assert set(registry.WRITABLE) == usual | ({'.avif', '.avifs'} if avif.CAN_WRITE else set())
    assert set(registry.WRITABLE) < set(registry.READABLE)
    for each in registry.FORMATS:
        assert set(each.written) <= set(each.endings) and (each.save or not each.written), each.name


def test_the_writer_needs_no_change_for_a_new_format(monkeypatch, colour):
    """A format with PNG's colour chunks receives them; another format receives a profile of the same colours."""
    saved = []

    def save(file, image, said, settings, notes):
        saved.append(said)
        file.write(b'mine' + bytes(image.size))

    own = base.Format('OWN', ('.own',), None, base.whole(png.read_checked), written=('.own',), save=save)
    own = own._replace(holds=frozenset(('icc_profile',)))
    said = metadata.Metadata(png_colour={b'gAMA': (100000).to_bytes(4, 'big')})
    for has_chunks in (False, True):
        monkeypatch.setitem(registry.BY_ENDING, '.own', own._replace(has_colour_chunks=has_chunks))
        canvas = writer.Canvas(201, 127, 3, np.dtype(np.uint8), '.own')
        canvas.put(slice(0, 127), slice(0, 201), colour)
        file = io.BytesIO()
        assert canvas.save(file, said, base.Settings()) == []
        assert file.getvalue() == b'mine' + bytes([201, 127])
    assert saved[0].icc_profile and not saved[1].icc_profile and saved[1].png_colour == said.png_colour


# --- TIFF


@pytest.mark.parametrize('bits', [1, 2, 4, 8, 10, 12, 14, 16])
@pytest.mark.parametrize('kind', ['minisblack', 'miniswhite'])
def test_a_grey_tiff_of_any_depth_is_read_exactly(tmp_path, colour, bits, kind):
    values = (colour[:, :, 0].astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint8 if bits <= 8 else np.uint16)
    path = tmp_path / 'a.tif'
    if bits in (8, 16):
        tifffile.imwrite(str(path), values, photometric=kind)
    else:
        packed = np.unpackbits(values.astype('>u2').view(np.uint8)).reshape(*values.shape, 16)[:, :, 16 - bits :]
        write_tiff(
            path,
            np.packbits(packed.reshape(len(values), -1), axis=1).tobytes(),
            values.shape,
            [bits],
            kind == 'minisblack',
        )
    expected = full_scale(values, bits)
    if kind == 'miniswhite':
        expected = (255 if bits <= 8 else 65535) - expected
    picture = read(path)
    assert picture.pixels.shape == (127, 201, 1) and picture.pixels.dtype == (np.uint8 if bits <= 8 else np.uint16)
    assert np.array_equal(picture.pixels[:, :, 0], expected)


def write_tiff(path, data, shape, bits, photometric):
    """Write a TIFF of one strip without a library (TIFF 6.0, section 2)."""
    entries = [(256, 4, shape[1]), (257, 4, shape[0]), (258, 3, bits[0]), (259, 3, 1), (262, 3, int(photometric))]
    entries += [(273, 4, 8), (277, 3, 1), (278, 4, shape[0]), (279, 4, len(data))]
    directory = struct.pack('<H', len(entries))
    for tag, kind, value in entries:
        directory += struct.pack('<HHI', tag, kind, 1) + struct.pack('<I', value)
    path.write_bytes(b'II*\0' + struct.pack('<I', 8 + len(data)) + data + directory + b'\0\0\0\0')


@pytest.mark.parametrize('planar', ['contig', 'separate'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('compression', [None, 'zlib', 'packbits'] + (['lzw'] if sys.version_info >= (3, 8) else []))
def test_a_colour_tiff_of_either_layout_is_read_exactly(tmp_path, colour, planar, dtype, compression):
    values = colour.astype(dtype) * (257 if dtype == np.uint16 else 1)
    path = tmp_path / 'a.tif'
    stored = np.moveaxis(values, 2, 0) if planar == 'separate' else values
    tifffile.imwrite(str(path), stored, photometric='rgb', planarconfig=planar, compression=compression)
    assert np.array_equal(read(path).pixels, values) and read(path).pixels.dtype == dtype


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_colours_are_divided_by_associated_alpha(tmp_path, colour, dtype):
    top = np.iinfo(dtype).max
    alpha = np.tile(np.linspace(0, top, 201).astype(dtype), (127, 1))
    plain = colour.astype(np.uint64) * (top // 255)
    multiplied = (plain * alpha[:, :, None] + top // 2) // top
    path = tmp_path / 'a.tif'
    joined = np.dstack([multiplied, alpha]).astype(dtype)
    tifffile.imwrite(str(path), joined, photometric='rgb', extrasamples=['assocalpha'])
    result = read(path).pixels
    assert np.array_equal(result[:, :, 3], alpha)
    visible = alpha > top // 4
    assert np.abs(result[:, :, :3].astype(int) - plain.astype(int))[visible].max() <= 2
    tifffile.imwrite(str(path), joined, photometric='rgb', extrasamples=['unassalpha'])
    assert np.array_equal(read(path).pixels, joined)


def test_grey_with_alpha_stays_grey_with_alpha(tmp_path, colour):
    values = np.dstack([colour[:, :, 0], 255 - colour[:, :, 1]]).astype(np.uint16) * 257
    tifffile.imwrite(str(tmp_path / 'a.tif'), values, photometric='minisblack', extrasamples=['unassalpha'])
    (tmp_path / 'a.png').write_bytes(imagecodecs.png_encode(values))
    for name in ('a.tif', 'a.png'):
        assert np.array_equal(read(tmp_path / name).pixels, values)


def test_the_palette_of_a_tiff_is_applied(tmp_path, photo):
    indexed = photo.quantize(16)
    indexed.save(str(tmp_path / 'a.tif'))
    assert np.array_equal(read(tmp_path / 'a.tif').pixels, np.asarray(indexed.convert('RGB')))


@pytest.mark.parametrize('dtype', [np.float32, np.int16, np.uint32])
def test_a_tiff_of_signed_float_or_32_bit_numbers_is_refused(tmp_path, dtype):
    tifffile.imwrite(str(tmp_path / 'a.tif'), np.zeros((9, 9), dtype), photometric='minisblack')
    with pytest.raises(
        ValueError, match='a.tif: cannot be used as an image: more than 16 bits a channel, signed or floating-point'
    ):
        read(tmp_path / 'a.tif')


def test_a_truncated_tiff_is_refused(tmp_path, colour):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(str(path), colour, photometric='rgb', rowsperstrip=16)
    with tifffile.TiffFile(str(path)) as tiff:
        offsets = tiff.pages[0].dataoffsets
    content = path.read_bytes()
    path.write_bytes(content[: offsets[-1] + 10])
    with pytest.raises(ValueError, match='a.tif'):
        read(path)


# --- PNG


def test_the_transparent_value_of_a_grey_png_becomes_alpha(tmp_path):
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    write_png(
        tmp_path / 'deep.png',
        (8, 8, 16, 0),
        [row.astype('>u2').tobytes() for row in deep],
        (b'tRNS', struct.pack('>H', 5000)),
    )
    result = read(tmp_path / 'deep.png').pixels
    assert result.dtype == np.uint16 and np.array_equal(result[:, :, 0], deep)
    assert np.array_equal(result[:, :, 1] == 0, deep == 5000)
    shallow = np.arange(16, dtype=np.uint8).reshape(2, 8)
    packed = [bytes(row[0::2] << 4 | row[1::2]) for row in shallow]
    write_png(tmp_path / 'shallow.png', (8, 2, 4, 0), packed, (b'tRNS', struct.pack('>H', 3)))
    result = read(tmp_path / 'shallow.png').pixels
    assert np.array_equal(result[:, :, 0], shallow * 17) and np.array_equal(result[:, :, 1] == 0, shallow == 3)


def test_the_still_image_of_an_animated_png_is_read(tmp_path, photo):
    """A still image with a palette, which is not part of the animation, and the first frame of another file."""
    indexed = photo.crop((0, 0, 40, 30)).quantize(8)
    palette = bytes(indexed.getpalette()[:24])
    rows = [bytes(row) for row in np.asarray(indexed)]
    write_png(tmp_path / 'a.png', (40, 30, 8, 3), rows, (b'acTL', struct.pack('>II', 3, 0)), (b'PLTE', palette))
    picture = read(tmp_path / 'a.png')
    assert np.array_equal(picture.pixels, np.asarray(indexed.convert('RGB')))
    assert picture.notes == ['the still image of 3 frames: --all-frames enlarges all']
    frames = [photo.crop((i, 0, i + 40, 30)) for i in range(3)]
    frames[0].save(str(tmp_path / 'b.png'), save_all=True, append_images=frames[1:])
    picture = read(tmp_path / 'b.png')
    assert np.array_equal(picture.pixels, np.asarray(frames[0]))
    assert picture.notes == ['the first of 3 frames: --all-frames enlarges all']


def test_an_animated_png_of_16_bits_is_read(tmp_path, colour):
    values = colour[:30, :40].astype(np.uint16) * 257
    rows = [row.astype('>u2').tobytes() for row in values]
    write_png(tmp_path / 'a.png', (40, 30, 16, 2), rows, (b'acTL', struct.pack('>II', 2, 0)))
    assert np.array_equal(read(tmp_path / 'a.png').pixels, values)


def test_c_libraries_write_nothing_to_the_console(tmp_path, capfd):
    coded = imagecodecs.png_encode(np.zeros((9, 9), np.uint8))
    (tmp_path / 'a.png').write_bytes(coded[:50] + b'\0' + coded[51:])  # libpng prints an error
    with pytest.raises(ValueError, match='a.png'):
        read(tmp_path / 'a.png')
    assert capfd.readouterr() == ('', '')


# --- netpbm, JPEG 2000, AVIF, JPEG XL, HEIC


@pytest.mark.parametrize('largest', [1, 100, 255, 1000, 65535])
@pytest.mark.parametrize('kind', [2, 3, 5, 6])
def test_netpbm_with_any_maximum_value_is_read_exactly(tmp_path, colour, largest, kind):
    channels = 3 if kind in (3, 6) else 1
    values = colour[:20, :30, :channels].astype(np.uint32) * largest // 255
    head = f'P{kind}# made by hand\n30 # wide\n20\n{largest}\n'.encode()
    if kind < 4:
        body = ' '.join(map(str, values.ravel())).encode()
    else:
        body = values.astype('>u2' if largest > 255 else np.uint8).tobytes()
    (tmp_path / 'a.pnm').write_bytes(head + body)
    full = 255 if largest <= 255 else 65535
    result = read(tmp_path / 'a.pnm').pixels
    assert np.array_equal(result, np.floor(values.astype(np.float64) * full / largest + 0.5)) and result.shape == (
        20,
        30,
        channels,
    )
    (tmp_path / 'a.pnm').write_bytes(head + body[: len(body) // 2])
    with pytest.raises(ValueError, match='the file is truncated'):
        read(tmp_path / 'a.pnm')


def test_bitmaps_and_pam_are_read_exactly(tmp_path, colour):
    black = colour[:20, :30, 0] < 100
    (tmp_path / 'a.pbm').write_bytes(b'P4 30 20\n' + np.packbits(black, axis=1).tobytes())
    (tmp_path / 'b.pbm').write_bytes(b'P1 30 20\n' + b''.join(b'01'[x : x + 1] for x in black.ravel().astype(int)))
    for name in ('a.pbm', 'b.pbm'):
        assert np.array_equal(read(tmp_path / name).pixels[:, :, 0], np.where(black, 0, 255))
    values = np.dstack([colour[:20, :30], colour[:20, :30, :1]])
    head = b'P7\nWIDTH 30\nHEIGHT 20\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n'
    (tmp_path / 'a.pam').write_bytes(head + values.tobytes())
    assert np.array_equal(read(tmp_path / 'a.pam').pixels, values)


@pytest.mark.parametrize('bits', [8, 9, 12, 16])
@pytest.mark.parametrize('channels', [1, 3])
def test_jpeg_2000_of_any_depth_is_read_exactly(tmp_path, colour, bits, channels):
    values = (colour[:, :, :channels].astype(np.uint32) * ((1 << bits) - 1) // 255).astype(
        np.uint8 if bits == 8 else np.uint16
    )
    stored = values[:, :, 0] if channels == 1 else values
    coded = imagecodecs.jpeg2k_encode(stored, level=0, bitspersample=bits, codecformat=2, reversible=True)
    (tmp_path / 'a.jp2').write_bytes(coded)
    result = read(tmp_path / 'a.jp2').pixels
    assert result.shape == (127, 201, channels) and np.array_equal(result, full_scale(values, bits))


@pytest.mark.skipif(not hasattr(imagecodecs, 'avif_encode') or not MODERN, reason='this imagecodecs writes no AVIF')
def test_avif_keeps_10_bits(tmp_path, colour):
    values = (colour.astype(np.uint32) * 1023 // 255).astype(np.uint16)
    (tmp_path / 'a.avif').write_bytes(
        imagecodecs.avif_encode(values, level=100, bitspersample=10, pixelformat='444', speed=9)
    )
    result = read(tmp_path / 'a.avif').pixels
    assert result.dtype == np.uint16 and np.abs(result - full_scale(values, 10)).max() < 65535 * 0.02
    assert np.abs(result - full_scale(values, 10)).mean() < 65535 * 0.003


@pytest.mark.skipif(not MODERN, reason='reading it needs Python 3.10 or later')
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_jpeg_xl_is_read_exactly_with_its_profile(tmp_path, colour, dtype):
    values = colour.astype(dtype) * (257 if dtype == np.uint16 else 1)
    (tmp_path / 'a.jxl').write_bytes(imagecodecs.jpegxl_encode(values, lossless=True))
    picture = read(tmp_path / 'a.jxl')
    assert np.array_equal(picture.pixels, values) and picture.said.icc_profile


@pytest.mark.skipif(not MODERN, reason='reading it needs Python 3.10 or later')
@pytest.mark.parametrize('bits', [8, 10])
def test_heic_of_8_and_10_bits_is_read(tmp_path, colour, bits):
    import pillow_heif

    values = colour if bits == 8 else (colour.astype(np.uint16) << 8)
    image = pillow_heif.from_bytes('RGB' if bits == 8 else 'RGB;16', (201, 127), values.tobytes())
    image.save(str(tmp_path / 'a.heic'), quality=100, chroma=444)
    result = read(tmp_path / 'a.heic').pixels
    top = 255 if bits == 8 else 65535
    assert result.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert np.abs(result / top - colour / 255).mean() < 0.01


@pytest.mark.parametrize('module, name, content', [
    ('pillow_heif', 'HEIC', b'\0\0\0\x18ftypheic\0\0\0\0heicmif1' + b'\0' * 50),
    ('pillow_jxl', 'JPEG XL', b'\xff\x0a' + b'\0' * 50),
])  # fmt: skip
def test_the_error_names_a_format_whose_library_is_missing(tmp_path, monkeypatch, module, name, content):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / 'a.heic').write_bytes(content)
    found = registry.of_head(content)
    assert found
    with pytest.raises(ValueError, match=f'{name} needs Python 3.10 or later and pillow-'):
        found.read(str(tmp_path / 'a.heic'), [])  # in this process, because a worker has the module


@pytest.mark.parametrize('kind', ['P5', 'P6'])
def test_netpbm_of_16_bits_stays_16_bits(tmp_path, colour, kind):
    values = colour[:, :, : 1 if kind == 'P5' else 3].astype(np.uint16) * 257
    (tmp_path / 'a.ppm').write_bytes(f'{kind} 201 127 65535\n'.encode() + values.astype('>u2').tobytes())
    result = read(tmp_path / 'a.ppm').pixels
    assert result.dtype == np.uint16 and result.dtype.isnative and np.array_equal(result, values)


@pytest.mark.parametrize(
    'content', [b'P1 2 2\nabc0101', b'P1 2 2\n0121', b'P2 2 1 9\n1 x', b'P2 2 1 9\n1 -1', b'P1 2 2\n01']
)
def test_netpbm_with_invalid_numbers_is_refused(tmp_path, content):
    (tmp_path / 'a.pnm').write_bytes(content)
    with pytest.raises(ValueError, match='a.pnm'):
        read(tmp_path / 'a.pnm')


@pytest.mark.skipif(not MODERN, reason='reading it needs Python 3.10 or later')
@pytest.mark.parametrize('bits', [4, 8, 10, 12, 16])
@pytest.mark.parametrize('size', [(127, 201), (128, 200), (64, 64)])
def test_jpeg_xl_of_any_depth_is_read_exactly(tmp_path, colour, bits, size):
    values = (colour[: size[0], : size[1]].astype(np.uint32) * ((1 << bits) - 1) // 255).astype(
        np.uint8 if bits <= 8 else np.uint16
    )
    values = np.pad(values, [(0, size[0] - values.shape[0]), (0, size[1] - values.shape[1]), (0, 0)], 'edge')
    coded = imagecodecs.jpegxl_encode(values, lossless=True, bitspersample=bits)
    (tmp_path / 'a.jxl').write_bytes(coded)
    assert np.array_equal(read(tmp_path / 'a.jxl').pixels, full_scale(values, bits))


@pytest.mark.skipif(not MODERN, reason='reading it needs Python 3.10 or later')
def test_the_first_frame_of_an_animated_jpeg_xl_is_read(tmp_path, colour):
    frames = np.stack([colour, colour[::-1], 255 - colour])
    (tmp_path / 'a.jxl').write_bytes(imagecodecs.jpegxl_encode(frames, lossless=True))
    picture = read(tmp_path / 'a.jxl')
    assert np.array_equal(picture.pixels, colour) and picture.notes == ['the first of 3 frames']


@pytest.mark.skipif(not MODERN, reason='reading it needs Python 3.10 or later')
def test_the_colours_of_a_premultiplied_heic_are_divided_by_its_alpha(tmp_path, colour):
    import pillow_heif

    alpha = np.full((127, 201, 1), 128, np.uint8)
    premultiplied = np.concatenate([(colour.astype(int) * 128 // 255).astype(np.uint8), alpha], 2)
    pillow_heif.from_bytes('RGBa', (201, 127), premultiplied.tobytes()).save(
        str(tmp_path / 'a.heic'), quality=100, chroma=444
    )
    result = read(tmp_path / 'a.heic').pixels
    assert result.shape == (127, 201, 4) and np.abs(result[:, :, :3].astype(int) - colour).mean() < 3


@pytest.mark.skipif(not hasattr(imagecodecs, 'avif_encode') or not MODERN, reason='this imagecodecs writes no AVIF')
def test_the_h273_numbers_of_an_avif_are_kept(tmp_path, colour):
    coded = unsaid = imagecodecs.avif_encode(colour, level=90, speed=9)
    place = coded.index(b'colrnclx') + 8  # in the bytes, because not every imagecodecs has arguments for the numbers
    coded = coded[:place] + struct.pack('>HH', 9, 16) + coded[place + 4 :]
    (tmp_path / 'a.avif').write_bytes(coded)
    assert read(tmp_path / 'a.avif').said.png_colour == {b'cICP': b'\x09\x10\0\1'}
    (tmp_path / 'b.avif').write_bytes(unsaid)
    assert not read(tmp_path / 'b.avif').said.png_colour


def test_jpeg_2000_with_an_undefined_fourth_channel_is_refused(tmp_path, colour):
    coded = imagecodecs.jpeg2k_encode(np.dstack([colour, colour[:, :, 0]]), level=0, codecformat=0, reversible=True)
    (tmp_path / 'a.j2k').write_bytes(coded)
    with pytest.raises(ValueError, match='unknown meaning'):
        read(tmp_path / 'a.j2k')


@pytest.mark.parametrize('in_sub_ifd', [False, True])
def test_the_full_page_of_a_tiff_that_starts_with_a_reduced_version_is_read(tmp_path, colour, in_sub_ifd):
    with tifffile.TiffWriter(str(tmp_path / 'a.tif')) as file:
        file.write(colour[::4, ::4], photometric='rgb', subfiletype=1, **({'subifds': 1} if in_sub_ifd else {}))
        file.write(colour, photometric='rgb', subfiletype=0)
    assert np.array_equal(read(tmp_path / 'a.tif').pixels, colour)
    assert reader.read_size(str(tmp_path / 'a.tif')) == (201, 127)


@pytest.mark.parametrize('bits', [4, 8])
def test_a_bmp_with_two_colours_in_more_than_one_bit_is_refused_or_read_correctly(tmp_path, bits):
    """Pillow assumes one bit per pixel."""
    indices = np.arange(16 * 8).reshape(8, 16) % 3 % 2
    rows = indices.astype(np.uint8) if bits == 8 else (indices[:, 0::2] << 4 | indices[:, 1::2]).astype(np.uint8)
    head = struct.pack('<IiiHHIIiiII', 40, 16, 8, 1, bits, 0, rows.size, 0, 0, 2, 0) + b'\0\0\0\0\xff\xff\xff\0'
    body = rows[::-1].tobytes()
    (tmp_path / 'a.bmp').write_bytes(
        struct.pack('<2sIHHI', b'BM', 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body
    )
    try:
        result = read(tmp_path / 'a.bmp').pixels
    except ValueError as error:
        assert 'two colours' in str(error)
    else:
        assert np.array_equal(result[:, :, 0], indices * 255)


@pytest.mark.parametrize('largest', [4, 5])
def test_a_png_with_colours_that_its_palette_lacks_is_refused(tmp_path, largest):
    rows = [bytes(range(largest + 1)) for _ in range(3)]
    write_png(tmp_path / 'a.png', (largest + 1, 3, 8, 3), rows, (b'PLTE', bytes(range(15))))
    if largest == 4:
        assert np.array_equal(read(tmp_path / 'a.png').pixels[0].ravel(), np.arange(15))
    else:
        with pytest.raises(ValueError, match='palette lacks'):
            read(tmp_path / 'a.png')


# --- formats that Pillow reads


@pytest.mark.parametrize('progressive', [False, True])
def test_a_note_says_that_the_data_of_a_jpeg_end_early(tmp_path, photo, progressive):
    photo.save(str(tmp_path / 'a.jpg'), quality=90, progressive=progressive)
    data = (tmp_path / 'a.jpg').read_bytes()
    assert read(tmp_path / 'a.jpg').notes == []
    (tmp_path / 'a.jpg').write_bytes(data[: len(data) // 2] + b'\xff\xd9')
    assert read(tmp_path / 'a.jpg').notes == ['its data are damaged: parts of it may look wrong']


def test_the_first_frame_is_read_even_if_later_ones_are_damaged(tmp_path, photo):
    frames = [photo.rotate(angle).quantize(64) for angle in (0, 90, 180)]
    frames[0].save(str(tmp_path / 'a.gif'), save_all=True, append_images=frames[1:])
    whole = read(tmp_path / 'a.gif').pixels
    content = (tmp_path / 'a.gif').read_bytes()
    (tmp_path / 'a.gif').write_bytes(content[: len(content) * 2 // 3])
    picture = read(tmp_path / 'a.gif')
    assert np.array_equal(picture.pixels, whole) and 'frame' in picture.notes[0]


def test_the_area_that_the_first_frame_of_a_gif_does_not_cover_is_transparent(tmp_path, photo):
    frame = photo.crop((0, 0, 20, 10)).quantize(16)
    buffer = io.BytesIO()
    frame.save(buffer, 'GIF')
    content = bytearray(buffer.getvalue())
    content[6:10] = struct.pack('<HH', 30, 25)  # the screen is larger than the frame
    (tmp_path / 'a.gif').write_bytes(content)
    result = read(tmp_path / 'a.gif').pixels
    assert result.shape == (25, 30, 4) and (result[:10, :20, 3] == 255).all() and result[:, :, 3].sum() == 200 * 255


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(str(tmp_path / 'a.png'))
    for path in (tmp_path / 'a.png', '/dev/zero'):
        with pytest.raises(ValueError, match='not a plain file'):
            read(path)


# --- conversions of pixels


@pytest.mark.parametrize('largest', [1, 3, 7, 15, 100, 254, 255, 256, 511, 1023, 4095, 65534, 65535])
def test_scaling_rounds_to_the_nearest(largest):
    values = np.arange(largest + 1, dtype=np.uint16 if largest > 255 else np.uint8)
    full = 255 if largest <= 255 else 65535
    assert np.array_equal(pixels.scale(values, largest), np.floor(values.astype(np.float64) * full / largest + 0.5))
    with pytest.raises(ValueError, match='above its maximum'):
        pixels.scale(np.array([largest + 1], np.uint32), largest)


def test_pixels_are_turned_as_by_pillow(photo):
    array = np.asarray(photo)
    moves = {2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM, 5: Image.TRANSPOSE,
             6: Image.ROTATE_270, 7: Image.TRANSVERSE, 8: Image.ROTATE_90}  # fmt: skip
    for orientation, move in moves.items():
        assert np.array_equal(pixels.upright(array, orientation), np.asarray(photo.transpose(move)))
    for nothing in (None, 0, 1, 9):
        assert pixels.upright(array, nothing) is array


@pytest.mark.parametrize('interlaced', [False, True])
def test_a_damaged_png_is_refused_or_read_correctly(tmp_path, photo, interlaced):
    """Damage must not change the picture or end the process; the libpng for Python 3.7 ends it at an error."""
    small = photo.crop((0, 0, 23, 17)) if not interlaced else photo.crop((0, 0, 9, 9))
    small.save(str(tmp_path / 'a.png'))
    whole = read(tmp_path / 'a.png').pixels
    content = (tmp_path / 'a.png').read_bytes()
    for place in range(8, len(content), 3):
        broken = bytearray(content)
        broken[place] ^= 0x55
        (tmp_path / 'b.png').write_bytes(broken)
        try:
            assert np.array_equal(read(tmp_path / 'b.png').pixels, whole)
        except ValueError as error:
            assert 'b.png' in str(error)
    for end in range(8, len(content) - 1, 7):
        (tmp_path / 'b.png').write_bytes(content[:end])
        with pytest.raises(ValueError, match='b.png'):
            read(tmp_path / 'b.png')
