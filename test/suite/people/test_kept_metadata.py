"""Check every cell of the table of metadata in docs/pictures.md; independent libraries read the results."""

import io
import json
import os
import re
import shutil
import struct
import subprocess
import zlib
from typing import Any, Callable, NamedTuple
from xml.etree import ElementTree

import enlarging
from enlarging import HEIGHT, WIDTH
from pictures.formats import reader, registry
from pictures.metadata import exif

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, IptcImagePlugin

from helpers import ROOT

try:
    import pillow_jxl  # noqa: F401 - with it Pillow reads JPEG XL

    UNSEEN: 'tuple[str, ...]' = ()
except ImportError:  # on Python 3.7
    UNSEEN = ('JPEG XL',)

ENDINGS = {'JPEG': 'jpg', 'PNG': 'png', 'TIFF': 'tif', 'WEBP': 'webp', 'AVIF': 'avif', 'JPEG XL': 'jxl', 'BMP': 'bmp'}


def other_profile() -> bytes:
    """Return sRGB's profile with another green, which matches no named colour space."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes())
    place = struct.unpack('>I', profile[profile.index(b'gXYZ') + 4 :][:4])[0]
    profile[place + 8 : place + 20] = struct.pack('>3i', *(int(x * 65536) for x in (0.3, 0.66, 0.1)))
    return bytes(profile)


PROFILE = other_profile()
GREEN_PRIMARIES = struct.pack('>8I', 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
CANON = b'\1\0\1\0\2\0\x20\0\0\0\0\0\0\0' + bytes(40)  # a directory without a header, as Canon's
NIKON = b'Nikon\0\2\0\0\0' + bytes(40)
IPTC = b'\x1c\2\x78\0\7A sight\x1c\2\x19\0\3cat\x1c\2\x19\0\4grey'
OME = '<OME xmlns="x"><Image><Pixels SizeX="96" SizeY="64" SizeZ="1" SizeT="1" PhysicalSizeX="{}"/></Image></OME>'
SPACES = {
    'dc': 'http://purl.org/dc/elements/1.1/',
    'GPano': 'http://ns.google.com/photos/1.0/panorama/',
    'GCamera': 'http://ns.google.com/photos/1.0/camera/',
    'mwg-rs': 'http://www.metadataworkinggroup.com/schemas/regions/',
    'stDim': 'http://ns.adobe.com/xap/1.0/sType/Dimensions#',
    'stArea': 'http://ns.adobe.com/xmp/sType/Area#',
    'MPReg': 'http://ns.microsoft.com/photo/1.2/t/Region#',
    'Iptc4xmpExt': 'http://iptc.org/std/Iptc4xmpExt/2008-02-29/',
    'xmpNote': 'http://ns.adobe.com/xmp/note/',
}
MWG = (
    '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions stDim:w="96" stDim:h="64" stDim:unit="pixel"/>'
    '<mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType="Resource"><mwg-rs:Area stArea:x="0.25" stArea:y="0.375" '
    'stArea:w="0.125" stArea:h="0.5"/></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>'
)
IPTC_REGION = (
    '<Iptc4xmpExt:ImageRegion><rdf:Bag><rdf:li><rdf:Description><Iptc4xmpExt:RegionBoundary rdf:parseType="Resource">'
    '<Iptc4xmpExt:rbUnit>pixel</Iptc4xmpExt:rbUnit><Iptc4xmpExt:rbX>24</Iptc4xmpExt:rbX><Iptc4xmpExt:rbY>8</Iptc4xmpExt:rbY>'
    '<Iptc4xmpExt:rbW>12</Iptc4xmpExt:rbW><Iptc4xmpExt:rbH>16</Iptc4xmpExt:rbH>'
    '</Iptc4xmpExt:RegionBoundary></rdf:Description></rdf:li></rdf:Bag></Iptc4xmpExt:ImageRegion>'
)


class Case(NamedTuple):
    """A row of the table.

    Attributes:
        ending: of the source file.
        make: writes a source with this metadata.
        seen: reads the metadata from a result; None if it is missing.
        kept: the expected value in formats that keep the metadata.
        converted: the expected value in formats that convert it.
        word: a regular expression for the note in formats that drop it.
        judge: the tags that exiftool has to find if the metadata is kept or converted.
    """

    ending: str
    make: Callable[..., None]
    seen: Callable[[str], Any]
    kept: Any
    converted: Any
    word: str
    judge: dict = {}


# --- sources


def plain(ending: str, **options: Any) -> Callable[..., None]:
    return lambda path, photo: photo.save(path, **options)


def with_tags(**given: Any) -> Callable[..., None]:
    """Return a function that writes a JPEG in orientation 6 with EXIF tags: first={tag: value}, camera={tag: value}."""

    def make(path: str, photo: Image.Image) -> None:
        values = {0x0112: exif.Value(3, 1, struct.pack('>H', 6)), **given.get('first', {})}
        camera = exif.Tags('>', given.get('camera', {}), {})
        block = exif.serialise(exif.Tags('>', values, {exif.EXIF_IFD: camera}))
        photo.save(path, exif=exif.HEADER + block)

    return make


def with_density(across: int, down: int, unit: int) -> Callable[..., None]:
    """Return a function that writes a JPEG in orientation 6 with a density in its JFIF header."""

    def make(path: str, photo: Image.Image) -> None:
        with_tags()(path, photo)
        with open(path, 'r+b') as file:
            file.seek(13)
            file.write(struct.pack('>BHH', unit, across, down))

    return make


def packet(properties: str) -> bytes:
    spaces = ' '.join(f'xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {spaces}>{properties}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def with_segments(*segments: 'tuple[int, bytes]', orientation: int = 1) -> Callable[..., None]:
    def make(path: str, photo: Image.Image) -> None:
        encoded = io.BytesIO()
        tags = Image.Exif()
        tags[0x0112] = orientation
        photo.save(encoded, 'JPEG', **({'exif': tags.tobytes()} if orientation > 1 else {}))
        data = encoded.getvalue()
        body = b''.join(struct.pack('>BBH', 255, marker, len(content) + 2) + content for marker, content in segments)
        behind = 4 + int.from_bytes(data[4:6], 'big')
        with open(path, 'wb') as file:
            file.write(data[:behind] + body + data[behind:])

    return make


def with_xmp(properties: str, orientation: int = 6) -> Callable[..., None]:
    return with_segments((0xE1, b'http://ns.adobe.com/xap/1.0/\0' + packet(properties)), orientation=orientation)


def extended(path: str, photo: Image.Image) -> None:
    digest = 'A' * 32
    more = packet('<dc:title>A sight</dc:title>')
    first = packet(f'<xmpNote:HasExtendedXMP>{digest}</xmpNote:HasExtendedXMP>')
    parts = [(0, more[:100]), (100, more[100:])]
    with_segments(
        (0xE1, b'http://ns.adobe.com/xap/1.0/\0' + first),
        *(
            (0xE1, b'http://ns.adobe.com/xmp/extension/\0' + digest.encode() + struct.pack('>II', len(more), at) + part)
            for at, part in parts
        ),
    )(path, photo)


def with_chunks(*chunks: 'tuple[bytes, bytes]') -> Callable[..., None]:
    def make(path: str, photo: Image.Image) -> None:
        photo.save(path)
        with open(path, 'r+b') as file:
            data = file.read()
            body = b''.join(
                struct.pack('>I', len(content)) + name + content + struct.pack('>I', zlib.crc32(name + content))
                for name, content in chunks
            )
            file.seek(0)
            file.write(data[:33] + body + data[33:])

    return make


def with_tiff_tags(description: 'str | None' = None, tags: Any = ()) -> Callable[..., None]:
    def make(path: str, photo: Image.Image) -> None:
        pixels = np.asarray(photo)
        tifffile.imwrite(path, pixels, photometric='rgb', metadata=None, description=description, extratags=list(tags))

    return make


def raw_profile() -> 'tuple[bytes, bytes]':
    block = exif.HEADER + exif.serialise(exif.Tags('>', {0x010F: exif.Value(2, 6, b'Maker\0')}, {}))
    return b'zTXt', b'Raw profile type exif\0\0' + zlib.compress(
        b'\nexif\n%8d\n%s\n' % (len(block), block.hex().encode())
    )


# --- results, read by Pillow, tifffile and ElementTree


def tag(number: int, camera: bool = True) -> Callable[[str], Any]:
    def seen(path: str) -> Any:
        tags = enlarging.exif_of(path)
        value = (tags.get_ifd(exif.EXIF_IFD) if camera else tags).get(number)
        return value if value is None or isinstance(value, (str, int)) else _numbers(value)

    return seen


def _numbers(value: Any) -> Any:
    return tuple(round(float(x), 4) for x in value) if isinstance(value, tuple) else round(float(value), 4)


def orientation_and_sizes(path: str) -> Any:
    tags = enlarging.exif_of(path)
    camera = tags.get_ifd(exif.EXIF_IFD)
    return (tags.get(0x0112, 1), camera[0xA002], camera[0xA003]) if 0xA002 in camera else None


def note(content: bytes) -> Callable[[str], Any]:
    """Return a function that returns a maker's note's offset from the start of the tags; for NIKON only True."""

    def seen(path: str) -> Any:
        with open(path, 'rb') as file:
            data = file.read()
        at = data.find(content)
        if at < 0:
            return None
        begin = max(data.rfind(mark, 0, at) for mark in (b'MM\0*', b'II*\0'))
        return True if content == NIKON else at - begin

    return seen


def xmp(*names: str) -> Callable[[str], Any]:
    """Return a function that reads the texts of XMP properties, attributes or elements; None if all are missing."""

    def seen(path: str) -> Any:
        with open(path, 'rb') as file:
            found = re.search(rb'<x:xmpmeta.*</x:xmpmeta>', file.read(), re.DOTALL)
        if not found:
            return None
        values = {}
        for element in ElementTree.fromstring(found.group()).iter():
            values.update(element.attrib)
            values[element.tag] = element.text or ''
        wanted = [values.get(f'{{{SPACES[prefix]}}}{name}') for prefix, name in (name.split(':') for name in names)]
        return wanted if any(wanted) else None

    return seen


def iptc(path: str) -> Any:
    with Image.open(path) as image:
        text = getattr(image, 'text', {}).get('Raw profile type iptc')
        if text:
            data = bytes.fromhex(''.join(text.split()[2:]))
            return [b'A sight', [b'cat', b'grey']] if IPTC in data else None
        found = IptcImagePlugin.getiptcinfo(image) or {}
    return [found[2, 120], found[2, 25]] if (2, 120) in found else None


def profile(path: str) -> Any:
    """Return the ICC profile of a file; for a BMP from its BITMAPV5HEADER, where Pillow does not look."""
    if path.endswith('.bmp'):
        with open(path, 'rb') as file:
            data = file.read()
        start, size = struct.unpack('<II', data[14 + 112 : 14 + 120])
        return data[14 + start : 14 + start + size]
    with Image.open(path) as image:
        return image.info.get('icc_profile')


def green(path: str) -> Any:
    """Return where the file has AdobeRGB's green primary: in a 'chunk' of PNG or in a 'profile'."""
    with open(path, 'rb') as file:
        if b'cHRM' + GREEN_PRIMARIES in file.read():
            return 'chunk'
    found = profile(path)
    if not found:
        return None
    x, y, z = ImageCms.getOpenProfile(io.BytesIO(found)).profile.green_colorant[0]
    return 'profile' if abs(x / (x + y + z) - 0.23) < 0.01 else 'another profile'


def resolution(path: str) -> Any:
    with Image.open(path) as image:
        dpi = image.info.get('dpi') if not path.endswith(('webp', 'avif')) else None
    tags = enlarging.exif_of(path)
    dpi = dpi or (tags.get(0x011A), tags.get(0x011B))
    return tuple(round(float(x)) for x in dpi) if None not in dpi else None


def aspect(path: str) -> Any:
    with open(path, 'rb') as file:
        data = file.read()
    if path.endswith('png'):
        at = data.find(b'pHYs')
        return struct.unpack('>IIB', data[at + 4 : at + 13]) if at > 0 else None
    with Image.open(path) as image:
        if path.endswith('tif'):
            return (int(image.tag_v2[282]), int(image.tag_v2[283]), image.tag_v2[296] - 1)
        density, unit = image.info.get('jfif_density', (1, 1)), image.info.get('jfif_unit', 0)
    return (*density, unit) if density[0] != density[1] else None


def texts(path: str) -> Any:
    with Image.open(path) as image:
        comments = [content for name, content in getattr(image, 'applist', []) if name == 'COM']
        if comments:
            return comments
    found = [content for name, content in chunks(path) if name == b'iTXt']
    parts = [re.fullmatch(rb'([^\0]+)\0\0\0([^\0]*)\0\0(.*)', content) for content in found]
    return [part.groups() for part in parts if part] or None


def chunks(path: str) -> 'list[tuple[bytes, bytes]]':
    with open(path, 'rb') as file:
        data, found = file.read(), []
    at = 8
    while data.startswith(b'\x89PNG') and at < len(data):
        size = int.from_bytes(data[at : at + 4], 'big')
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += size + 12
    return found


def pixel_scale(path: str) -> Any:
    if not path.endswith('tif'):
        return None
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        return (*tags['ModelPixelScaleTag'].value[:2], *tags['ModelTiepointTag'].value[:2])


def description(path: str) -> Any:
    return enlarging.exif_of(path).get(0x010E)


CAMERA = {
    0xA002: exif.Value(4, 1, struct.pack('>I', WIDTH)),
    0xA003: exif.Value(4, 1, struct.pack('>I', HEIGHT)),
    0x829A: exif.Value(5, 1, struct.pack('>II', 1, 250)),
    0x9214: exif.Value(3, 4, struct.pack('>4H', 24, 24, 12, 32)),
    0xA20E: exif.Value(5, 1, struct.pack('>II', 1000, 1)),
    0xA20F: exif.Value(5, 1, struct.pack('>II', 500, 1)),
}
CANON_CAMERA = {0x927C: exif.Value(7, len(CANON), CANON)}
NIKON_CAMERA = {0x927C: exif.Value(7, len(NIKON), NIKON)}
CANON_PLACE = 8 + (2 + 12 * 2 + 4) + (2 + 12 + 4)  # after both directories
EXIF = 'EXIF'
GEO = [
    (33550, 'd', 3, (10.0, 10.0, 0.0), True),
    (33922, 'd', 6, (4.0, 2.0, 0.0, 500000.0, 5600000.0, 0.0), True),
]
GERMAN = 'Ein schönes Bild'
CASES = {
    'EXIF: camera, time, place': Case('jpg', with_tags(camera=CAMERA), tag(0x829A), 0.004, None, EXIF, {'ExposureTime': 0.004}),
    'EXIF: orientation and sizes': Case(
        'jpg', with_tags(camera=CAMERA), orientation_and_sizes, None, (1, 96, 144), EXIF, {'ExifImageWidth': 96}
    ),
    # Orientation 6 turns the left side to the top, and the top to the right.
    'EXIF: subject area': Case(
        'jpg', with_tags(camera=CAMERA), tag(0x9214), None, (60, 36, 48, 18), EXIF, {'SubjectArea': '60 36 48 18'}
    ),
    'EXIF: focal plane resolution': Case(
        'jpg', with_tags(camera=CAMERA), tag(0xA20E), None, 750.0, EXIF, {'FocalPlaneYResolution': 1500}
    ),
    "maker's note with offsets from its own start (Apple, Nikon, Olympus and others)": Case(
        'jpg', with_tags(camera=NIKON_CAMERA), note(NIKON), True, None, EXIF
    ),
    "maker's note with offsets from the file's start (Canon, Sony, Panasonic and others)": Case(
        'jpg', with_tags(camera={**CANON_CAMERA, 0x9286: exif.Value(7, 60, b'more'.ljust(60))}), note(CANON),
        CANON_PLACE + 12, None, "maker's note|EXIF",
    ),
    'XMP: titles, ratings and all that is not below': Case(
        'jpg', with_xmp('<dc:title>A sight</dc:title>'), xmp('dc:title'), ['A sight'], None, 'XMP', {'Title': 'A sight'}
    ),
    'XMP: regions of faces (MWG)': Case(
        'jpg', with_xmp(MWG), xmp('stArea:x', 'stArea:y', 'stArea:w', 'stArea:h', 'stDim:w', 'stDim:h'), None,
        ['0.625', '0.25', '0.5', '0.125', '96', '144'], 'XMP', {'RegionAreaX': 0.625, 'RegionAreaH': 0.125},
    ),
    'XMP: regions of faces (Microsoft)': Case(
        'jpg', with_xmp('<MPReg:Rectangle>0.25, 0.125, 0.125, 0.5</MPReg:Rectangle>'), xmp('MPReg:Rectangle'), None,
        ['0.375, 0.25, 0.5, 0.125'], 'XMP',
    ),
    'XMP: regions (IPTC)': Case(
        'jpg', with_xmp(IPTC_REGION), xmp(*(f'Iptc4xmpExt:rb{side}' for side in 'XYWH')), None,
        ['60', '36', '24', '18'], 'XMP',
    ),
    'XMP: panorama': Case(
        'jpg', with_xmp(
            ''.join(
                f'<GPano:{name}Pixels>{number}</GPano:{name}Pixels>'
                for name, number in (
                    ('FullPanoWidth', 192), ('FullPanoHeight', 96), ('CroppedAreaImageWidth', 96),
                    ('CroppedAreaImageHeight', 64), ('CroppedAreaLeft', 48), ('CroppedAreaTop', 16),
                )
            ),
            orientation=1,
        ),
        xmp('GPano:FullPanoWidthPixels', 'GPano:CroppedAreaImageHeightPixels', 'GPano:CroppedAreaLeftPixels'),
        None, ['288', '96', '72'], 'XMP', {'FullPanoWidthPixels': 288},
    ),
    'XMP: claims about a video, a gain map or a depth map in the old file': Case(
        'jpg', with_xmp('<GCamera:MotionPhoto>1</GCamera:MotionPhoto>'), xmp('GCamera:MotionPhoto'), None, None,
        'without its motion video',
    ),
    'XMP: extension in JPEG': Case(
        'jpg', extended, xmp('dc:title', 'xmpNote:HasExtendedXMP'), ['A sight', None], None, 'XMP', {'Title': 'A sight'}
    ),
    'IPTC captions and keywords': Case(
        'jpg', with_segments((0xED, b'Photoshop 3.0\x008BIM\4\4\0\0' + struct.pack('>I', len(IPTC)) + IPTC)), iptc,
        [b'A sight', [b'cat', b'grey']], None, 'IPTC', {'Caption-Abstract': 'A sight', 'Keywords': ['cat', 'grey']},
    ),
    'ICC profile': Case('png', plain('png', icc_profile=PROFILE), profile, PROFILE, None, 'profile'),
    'gamma and primaries of PNG': Case(
        'png', with_chunks((b'gAMA', struct.pack('>I', 45455)), (b'cHRM', GREEN_PRIMARIES)), green, 'chunk', 'profile', 'profile'
    ),
    'resolution': Case(
        'jpg', with_density(204, 98, 1), resolution, None, (98, 204), 'resolution'
    ),
    'pixel aspect ratio': Case(
        'jpg', with_density(16, 11, 0), aspect, None, (11, 16, 0),
        'pixel aspect ratio',
    ),
    'texts of PNG': Case(
        'png', with_chunks(
            (b'tEXt', b'Title\0A sight'), (b'iTXt', b'Title\0\0\0de\0\0' + GERMAN.encode()), (b'tEXt', b'Comment\0nice')
        ),
        texts, [(b'Title', b'', b'A sight'), (b'Title', b'de', GERMAN.encode()), (b'Comment', b'', b'nice')],
        [b'Title: A sight', b'Title: ' + GERMAN.encode(), b'nice'], r'without its texts \(Title, Comment\)',
    ),
    'comments of JPEG and GIF': Case(
        'jpg', with_segments((0xFE, b'first'), (0xFE, b'caf\xe9')), texts, [b'first', b'caf\xe9'],
        [(b'Comment', b'', b'first'), (b'Comment', b'', 'café'.encode())], 'texts',
    ),
    'raw profiles in PNG (ImageMagick)': Case('png', with_chunks(raw_profile()), tag(0x010F, False), None, 'Maker', EXIF),
    'GeoTIFF': Case('tif', with_tiff_tags(tags=GEO), pixel_scale, None, (10 / 1.5, 10 / 1.5, 6, 3), 'place on Earth'),
    'ImageDescription: OME-XML of one plane': Case(
        'tif', with_tiff_tags(OME.format('0.75')), description, None,
        OME.format('0.5').replace('"96"', '"144"').replace('"64"', '"96"'), EXIF,
    ),
}  # fmt: skip


# --- the table


def table() -> 'tuple[list[str], dict[str, list[str]]]':
    """Return the formats and the verdicts (kept, converted, dropped) of each row of the table in docs/pictures.md."""
    with open(os.path.join(ROOT, 'docs', 'pictures.md'), encoding='utf-8') as file:
        part = file.read().partition('## Metadata')[2]
    lines = [
        [cell.strip() for cell in line.strip('|').split('|')] for line in re.findall(r'^\|.*\|$', part, re.MULTILINE)
    ]
    head = lines.index(next(line for line in lines if line[0] == 'metadata'))
    rows = lines[head + 2 :]
    return lines[head][1:], {row[0]: row[1:] for row in rows if len(row) == len(lines[head])}


FORMATS, VERDICTS = table()
CELLS = [(row, name, verdict) for row, cells in VERDICTS.items() for name, verdict in zip(FORMATS, cells)]


@pytest.fixture
def small(photo, monkeypatch):
    """Return a small photograph without metadata; files are not flushed to the disk, to save time."""
    monkeypatch.setattr(os, 'fsync', lambda file: None)
    return Image.fromarray(np.asarray(photo.resize((WIDTH, HEIGHT))))


def test_the_table_has_every_case_and_every_writable_format():
    assert list(VERDICTS) == list(CASES)
    written = {each.name for each in registry.FORMATS if each.written}
    assert written <= set(FORMATS) <= set(ENDINGS)


SLOW = ('AVIF',)  # formats that are slow to write
ROWS = [
    pytest.param(row, [cell for cell in CELLS if cell[0] == row and (cell[1] in SLOW) == is_slow], marks=marks, id=row)
    for is_slow, marks in ((False, ()), (True, pytest.mark.slow))
    for row in VERDICTS
]


@pytest.mark.parametrize('row, cells', ROWS)
def test_metadata_is_kept_as_in_the_table(tmp_path, small, row, cells):
    case = CASES[row]
    source = str(tmp_path / f'a.{case.ending}')
    case.make(source, small)
    picture = reader.read_picture(source)
    for _, name, verdict in cells:
        if '.' + ENDINGS[name] not in registry.WRITABLE or name in UNSEEN:
            continue  # an old Pillow has no AVIF or JPEG XL
        target = str(tmp_path / f'b.{ENDINGS[name]}')
        notes, seen = '; '.join(enlarging.write_enlarged(picture, target)), case.seen(target)
        if verdict == 'dropped':
            assert not seen and re.search(case.word, notes), (name, seen, notes)
        else:
            expected = {'kept': case.kept, 'converted': case.converted}[verdict]
            assert expected is not None and seen == expected, (name, seen, notes)
            assert not re.search(case.word, notes), (name, notes)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('exiftool'), reason='exiftool is not installed')
def test_exiftool_finds_the_metadata_of_the_table(tmp_path, small):
    expected = {}
    for row, name, verdict in CELLS:
        case = CASES[row]
        if verdict == 'dropped' or not case.judge or '.' + ENDINGS[name] not in registry.WRITABLE:
            continue
        source = str(tmp_path / f'a.{case.ending}')
        target = str(tmp_path / f'{len(expected)}.{ENDINGS[name]}')
        case.make(source, small)
        enlarging.enlarge(source, target)
        expected[target] = case.judge
    command = ['exiftool', '-json', '-n', *expected]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = {each['SourceFile']: each for each in json.loads(done.stdout)}
    for target, judge in expected.items():
        assert {key: found[target].get(key) for key in judge} == judge, target
        assert 'Warning' not in found[target], found[target]
