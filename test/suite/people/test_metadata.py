"""Metadata is kept from format to format, and true for the enlarged picture."""

import io
import struct
import zlib

from pictures.formats import reader
from pictures.metadata import cicp, colour, exif, metadata

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from helpers import opened, write_png

XMP = (
    b'<?xpacket begin="\xef\xbb\xbf"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description '
    b'tiff:Orientation="6" exif:PixelXDimension="127"><tiff:ImageWidth>127</tiff:ImageWidth><dc:title>\xe7\x85\xa7</dc:title>'
    b'</rdf:Description></rdf:RDF></x:xmpmeta>'
)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()  # contains the time of its creation
MAKER, COPYRIGHT = 'a maker', 'someone, 2026'


def tags_of(width=127, height=201, orientation=6, order='<'):
    """Return EXIF like a camera's: texts, sizes, a sub-directory with a maker's note, a place on Earth."""

    def short(value):
        return exif.Value(3, 1, struct.pack(order + 'H', value))

    def text(value):
        data = value.encode() + b'\0'
        return exif.Value(2, len(data), data)

    camera = {0xA002: short(width), 0xA003: short(height), 0x927C: exif.Value(7, 9, b'Nikon\0\2\2\3')}
    camera[0x829A] = exif.Value(5, 1, struct.pack(order + 'II', 1, 250))
    place = {0x0001: text('N'), 0x0002: exif.Value(5, 3, struct.pack(order + '6I', 48, 1, 51, 1, 2996, 100))}
    values = {0x010F: text(MAKER), 0x0112: short(orientation), 0x8298: text(COPYRIGHT), 0x0100: short(width)}
    children = {exif.EXIF_IFD: exif.Tags(order, camera, {}), exif.GPS_IFD: exif.Tags(order, place, {})}
    return exif.Tags(order, values, children)


def without_place(tags):
    """Return tags without the offset of the maker's note."""
    camera = tags.children[exif.EXIF_IFD]
    assert camera.values[0x927C].place
    note = camera.values[0x927C]._replace(place=None)
    return tags._replace(
        children={**tags.children, exif.EXIF_IFD: camera._replace(values={**camera.values, 0x927C: note})}
    )


@pytest.mark.parametrize('order', ['<', '>'])
def test_written_tags_are_read_by_pillow_and_read_back(order):
    tags = tags_of(order=order)
    block = exif.serialise(tags)
    assert without_place(exif.parse(block)) == tags == without_place(exif.parse(exif.HEADER + block))
    theirs = Image.Exif()
    theirs.load(exif.HEADER + block)
    assert theirs[0x010F] == MAKER and theirs.get_ifd(exif.EXIF_IFD)[0xA002] == 127
    assert [float(x) for x in theirs.get_ifd(exif.GPS_IFD)[2]] == [48, 51, 29.96]


def test_tags_keep_their_values_in_the_other_byte_order():
    for a, b in (('<', '>'), ('>', '<'), ('<', '<')):
        assert exif.convert(tags_of(order=a), b) == tags_of(order=b)


@pytest.mark.parametrize('cut', [3, 7, 9, 20])
def test_damaged_exif_is_an_error(cut):
    with pytest.raises(ValueError, match='EXIF'):
        exif.parse(exif.serialise(tags_of())[:cut])
    loop = bytearray(exif.serialise(tags_of()))
    place = loop.index(struct.pack('<HH', exif.EXIF_IFD, 4)) + 8
    loop[place : place + 4] = struct.pack('<I', 8)
    with pytest.raises(ValueError, match='damaged'):
        exif.parse(bytes(loop))


def test_a_jpeg_with_damaged_exif_loses_only_its_exif(upscale, photo):
    photo.save(str(upscale.source / 'a.jpg'), exif=exif.HEADER + b'II*\0' + b'\xff' * 30)
    ended = upscale()
    assert ended.status == 0 and 'without its EXIF' in ended.out, ended.err
    assert opened(upscale.target / 'a_x2.jpg').size == (402, 254)


def save(photo, path):
    """Save a turned photograph with EXIF, XMP, a profile and a resolution, in the format of the path's ending."""
    block, profile = exif.HEADER + exif.serialise(tags_of()), PROFILE
    stored, ending = photo.transpose(Image.ROTATE_90), str(path).rpartition('.')[2]
    if ending in ('jpg', 'webp'):
        stored.save(str(path), exif=block, icc_profile=profile, dpi=(300, 300), quality=95)
        if ending == 'jpg':
            content = metadata.XMP_HEADER + XMP
            data = path.read_bytes()
            path.write_bytes(data[:2] + b'\xff\xe1' + struct.pack('>H', len(content) + 2) + content + data[2:])
        else:
            stored.save(str(path), exif=block, icc_profile=profile, xmp=XMP, quality=95)
    elif ending == 'png':
        info = PngImagePlugin.PngInfo()
        info.add_itxt('XML:com.adobe.xmp', XMP.decode())
        stored.save(str(path), exif=block, icc_profile=profile, dpi=(300, 300), pnginfo=info)
    else:
        with open(str(path), 'w+b') as file:
            tifffile.imwrite(file, np.asarray(stored), photometric='rgb', metadata=None, resolution=(300, 300),
                             extratags=[(274, 'H', 1, 6, True), (34675, 'B', len(profile), profile, True)])  # fmt: skip
            values = dict(tags_of().values)
            values[exif.XMP] = exif.Value(1, len(XMP), XMP)
            exif.add_to_tiff(file, tags_of()._replace(values=values))


@pytest.mark.parametrize('source', ['jpg', 'png', 'tif', 'webp'])
@pytest.mark.parametrize('target', ['jpg', 'png', 'tif', 'webp'])
def test_exif_xmp_and_profile_are_kept_from_every_format_to_every_format(upscale, photo, source, target):
    save(photo, upscale.source / f'a.{source}')
    ended = upscale(f'--ext={target}')
    assert ended.status == 0 and 'without' not in ended.out, ended.out + ended.err
    path = upscale.target / f'a_x2.{target}'
    picture = reader.read_picture(str(path))  # if it were turned twice, its size would differ
    assert picture.pixels.shape[:2] == (254, 402)
    result = opened(path)
    theirs = result.tag_v2 if target == 'tif' else result.getexif()  # Pillow's own reading
    assert theirs[0x010F] == MAKER and theirs[0x8298] == COPYRIGHT and theirs.get(0x0112, 1) == 1
    assert picture.said.exif and picture.said.xmp
    camera = picture.said.exif.children[exif.EXIF_IFD]
    assert camera.number(0xA002) == 402 and camera.number(0xA003) == 254
    assert camera.values[0x927C].data == b'Nikon\0\2\2\3' and camera.values[0x829A].data[4:5] in (b'\xfa', b'\0')
    assert picture.said.exif.children[exif.GPS_IFD].values[1].data == b'N\0'
    assert result.info['icc_profile'] == PROFILE
    packet = picture.said.xmp
    assert b'tiff:Orientation="1" exif:PixelXDimension="402"' in packet and b'<tiff:ImageWidth>402</' in packet
    assert b'\xe7\x85\xa7' in packet and packet.count(b'402') == 2
    if 'webp' not in (source, target):
        assert picture.said.dpi
        assert [round(float(x)) for x in picture.said.dpi] == [300, 300]


@pytest.mark.parametrize('dpi', [(7e257, 7e257), (4e9, 4e9), (0, 300), (float('nan'), 1), (-1, -1), 'x', (1,)])
def test_an_invalid_resolution_is_dropped_with_a_note(dpi):
    notes = []
    assert metadata.read_dpi(dpi, notes) is None and notes == ['without its resolution, which is invalid']


def test_absurd_resolutions_do_not_end_the_run(upscale, photo):
    small = np.asarray(photo)[:20, :30]
    for name, numbers in (('a.tif', (4000000000, 1)), ('b.tif', (0, 0)), ('c.tif', (300, 1))):
        path = upscale.source / name
        tifffile.imwrite(str(path), small, photometric='rgb', metadata=None, resolution=((300, 1), (300, 1)))
        path.write_bytes(path.read_bytes().replace(struct.pack('<II', 300, 1), struct.pack('<II', *numbers)))
    ended = upscale()
    assert ended.status == 0 and ended.out.count('without its resolution') == 2, ended.out + ended.err
    assert [round(float(x)) for x in opened(upscale.target / 'c_x2.tif').info['dpi']] == [300, 300]


# --- colour


GAMMA, CHROMATICITIES = (
    struct.pack('>I', 100000),
    struct.pack('>8I', 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000),
)


def test_colour_chunks_of_a_png_are_kept(upscale, photo):
    rows = [bytes(row) for row in np.asarray(photo).reshape(127, -1)]
    chunks = [(b'gAMA', GAMMA), (b'cHRM', CHROMATICITIES)]
    write_png(upscale.source / 'a.png', (201, 127, 8, 2), rows, *chunks)
    write_png(upscale.source / 'b.png', (201, 127, 8, 2), rows, (b'cICP', b'\x0c\x0d\0\1'))
    assert upscale().status == 0
    first, second = ((upscale.target / f'{name}_x2.png').read_bytes() for name in 'ab')
    for name, content in chunks:
        assert name + content in first
    assert b'cICP\x0c\x0d\0\1' in second


def test_a_png_with_a_gamma_keeps_its_brightness_as_jpeg(upscale, photo):
    """Little CMS shows the picture through its profile: linear numbers look like those encoded by 1/2.2."""
    linear = np.rint(255 * (np.asarray(photo) / 255.0) ** 2.2).astype(np.uint8)
    rows = [bytes(row) for row in linear.reshape(127, -1)]
    write_png(upscale.source / 'a.png', (201, 127, 8, 2), rows, (b'gAMA', GAMMA))
    assert upscale('--ext=jpg').status == 0
    result = opened(upscale.target / 'a_x2.jpg')
    source = ImageCms.ImageCmsProfile(io.BytesIO(result.info['icc_profile']))
    seen = ImageCms.profileToProfile(result, source, ImageCms.createProfile('sRGB'))
    small = np.asarray(seen.resize(photo.size)).astype(float)
    bright = np.asarray(photo).min(2) > 60  # in darker parts 8 bits are too coarse for linear numbers
    assert abs(small[bright].mean() - np.asarray(photo)[bright].mean()) < 6


@pytest.mark.parametrize('gamma, chromaticities', [
    (2.2, [0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06]),
    (1.0, [0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06]),
    (1.8, [0.3457, 0.3585, 0.7347, 0.2653, 0.1595, 0.8404, 0.0366, 0.0001]),
])  # fmt: skip
def test_a_profile_matches_its_gamma_and_chromaticities(gamma, chromaticities):
    """Little CMS computes Lab by the profile, and the test by the formula: XYZ from primaries, adapted to D50."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(colour.make_profile(gamma, chromaticities)))
    image = Image.new('RGB', (1, 1), (200, 120, 40))
    lab = ImageCms.profileToProfile(image, profile, ImageCms.createProfile('LAB'), outputMode='LAB').getpixel((0, 0))
    white, *primaries = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in zip(*[iter(chromaticities)] * 2))
    matrix = np.array(primaries).T
    xyz = matrix @ (np.linalg.solve(matrix, white) * (np.array([200, 120, 40]) / 255) ** gamma)
    cone = colour.BRADFORD
    xyz = np.linalg.inv(cone) @ ((cone @ xyz) * (cone @ np.array(colour.D50)) / (cone @ white))
    f = np.cbrt(xyz / np.array(colour.D50))
    expected = 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])
    assert np.abs(np.array([lab[0] / 2.55, lab[1] - 128, lab[2] - 128]) - expected).max() < 1.5


def test_srgb_needs_no_profile_and_a_colour_space_without_a_profile_is_noted(upscale, photo):
    assert colour.profile_of_png({b'gAMA': struct.pack('>I', 45455)}) is None
    assert colour.profile_of_png({b'sRGB': b'\0', b'gAMA': GAMMA}) is None
    assert cicp.profile_of((1, 13)) is None
    rows = [bytes(row) for row in np.asarray(photo)[:20].reshape(20, -1)]
    write_png(upscale.source / 'a.png', (201, 20, 8, 2), rows, (b'cICP', b'\x0a\x08\0\1'))  # of XYZ
    ended = upscale('--ext=jpg')
    assert ended.status == 0 and 'without its colour space (cICP)' in ended.out


def test_a_16_bit_tiff_is_compressed_like_an_8_bit_one(upscale, photo):
    smooth = cv2.GaussianBlur(np.asarray(photo, np.float32) * 257, (0, 0), 3).astype(np.uint16)
    tifffile.imwrite(str(upscale.source / 'a.tif'), smooth, photometric='rgb')
    photo.save(str(upscale.source / 'b.tif'))
    assert upscale().status == 0
    for name in ('a_x2.tif', 'b_x2.tif'):
        with tifffile.TiffFile(str(upscale.target / name)) as tiff:
            assert tiff.pages[0].compression in (8, 32946)


def test_exif_whose_values_overlap_is_damaged():
    """Otherwise a small block whose tags share one large value would need any amount of memory."""
    count, size = 1000, 12_000
    start = 8 + 2 + 12 * count + 4
    entries = b''.join(struct.pack('<HHII', 0xC000 + i, 7, size, start) for i in range(count))
    with pytest.raises(ValueError, match='damaged'):
        exif.parse(b'II*\0\x08\0\0\0' + struct.pack('<H', count) + entries + bytes(4 + size))


def test_a_webp_with_damaged_exif_loses_only_its_exif(upscale, photo):
    photo.save(str(upscale.source / 'a.webp'), exif=exif.HEADER + b'II*\0' + b'\xff' * 30, quality=90)
    ended = upscale()
    assert ended.status == 0 and 'without its EXIF' in ended.out, ended.err


@pytest.mark.parametrize('source', ['jpg', 'png', 'webp'])
def test_a_picture_is_turned_if_only_xmp_has_its_orientation(upscale, photo, source):
    path = upscale.source / f'a.{source}'
    if source == 'png':
        info = PngImagePlugin.PngInfo()
        info.add_itxt('XML:com.adobe.xmp', XMP.decode())
        photo.save(str(path), pnginfo=info)
    elif source == 'webp':
        photo.save(str(path), xmp=XMP, quality=90)
    else:
        photo.save(str(path), quality=90)
        content, data = metadata.XMP_HEADER + XMP, path.read_bytes()
        path.write_bytes(data[:2] + b'\xff\xe1' + struct.pack('>H', len(content) + 2) + content + data[2:])
    assert upscale().status == 0
    result = reader.read_picture(str(upscale.target / f'a_x2.{source}'))
    assert result.pixels.shape[:2] == (402, 254) and b'Orientation="1"' in (result.said.xmp or b'')


def test_xmp_among_the_exif_tags_is_corrected_and_written_once(upscale, photo):
    tags = tags_of()
    tags = tags._replace(values={**tags.values, exif.XMP: exif.Value(1, len(XMP), XMP)})
    photo.save(str(upscale.source / 'a.jpg'), exif=exif.HEADER + exif.serialise(tags), quality=90)
    assert upscale().status == 0
    content = (upscale.target / 'a_x2.jpg').read_bytes()
    assert content.count(b'<x:xmpmeta') == 1 and b'Orientation="1"' in content and b'Orientation="6"' not in content


def test_cicp_is_kept_beside_a_profile(upscale, photo):
    photo.save(str(upscale.source / 'a.png'), icc_profile=PROFILE)
    data = (upscale.source / 'a.png').read_bytes()
    chunk = b'cICP\x09\x10\0\1'
    chunk = struct.pack('>I', 4) + chunk + struct.pack('>I', zlib.crc32(chunk))
    (upscale.source / 'a.png').write_bytes(data[:33] + chunk + data[33:])
    assert upscale().status == 0
    assert chunk in (upscale.target / 'a_x2.png').read_bytes()


def test_a_profile_fits_the_channels_of_the_file(upscale, photo):
    """Viewers cannot use another profile, and some refuse the picture."""
    grey = np.asarray(photo.convert('L'))[:20]
    write_png(upscale.source / 'a.png', (201, 20, 8, 0), [bytes(row) for row in grey], (b'gAMA', GAMMA))
    assert upscale('--ext=jpg').status == 0
    profile = opened(upscale.target / 'a_x2.jpg').info['icc_profile']
    assert profile[16:20] == b'GRAY' and ImageCms.ImageCmsProfile(io.BytesIO(profile))
    photo.convert('L').save(str(upscale.source / 'b.jpg'), icc_profile=profile)
    ended = upscale('--ext=webp', '--overwrite')
    assert ended.status == 0 and 'without its profile' not in ended.out
    in_rgb = ImageCms.ImageCmsProfile(io.BytesIO(opened(upscale.target / 'b_x2.webp').info['icc_profile']))
    steps = np.arange(256, dtype=np.uint8)[None]
    shown = [
        np.asarray(ImageCms.profileToProfile(image, source, ImageCms.createProfile('sRGB'), outputMode='RGB')).astype(
            int
        )
        for image, source in (
            (Image.fromarray(steps), ImageCms.ImageCmsProfile(io.BytesIO(profile))),
            (Image.fromarray(np.dstack([steps] * 3)), in_rgb),
        )
    ]
    assert np.abs(shown[0] - shown[1])[:, 16:].max() <= 1  # Little CMS rounds the darkest greys


def test_primaries_that_span_no_colour_space_are_noted(upscale, photo):
    rows = [bytes(row) for row in np.asarray(photo)[:20].reshape(20, -1)]
    chromaticities = struct.pack('>8I', 31270, 32900, *[30000, 30000] * 3)
    write_png(upscale.source / 'a.png', (201, 20, 8, 2), rows, (b'gAMA', GAMMA), (b'cHRM', chromaticities))
    ended = upscale('--ext=jpg')
    assert ended.status == 0 and 'without its colour space (cHRM)' in ended.out, ended.err


def test_a_lossless_webp_with_a_large_profile_stays_lossless(upscale, photo):
    photo.save(str(upscale.source / 'a.webp'), lossless=True, icc_profile=PROFILE + bytes(70_000))
    assert reader.read_picture(str(upscale.source / 'a.webp')).is_lossless
