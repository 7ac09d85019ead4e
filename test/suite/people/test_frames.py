"""--all-frames: animations and files with pages, compared with the frames that Pillow and tifffile read."""

import io
import os
import struct

from pictures.formats import apng, base, frames, gif, reader, tiff_pages, webp, writer
from pictures.metadata import metadata

import numpy as np
import PIL
import pytest
import tifffile
from PIL import Image, ImageSequence

from helpers import assert_refused

DURATIONS = [50, 100, 70, 40, 300]  # milliseconds
HAS_CURRENT_PILLOW = int(PIL.__version__.split('.')[0]) >= 10
with_judge = pytest.mark.skipif(not HAS_CURRENT_PILLOW, reason='this old Pillow composes the frames of a GIF wrongly')


def moving(photo, has_alpha):
    """Return five frames of 48 x 40 pixels: a part of a photograph moves over the photograph or over transparency."""
    small, part = photo.resize((48, 40)).convert('RGBA'), photo.crop((60, 40, 80, 60)).convert('RGBA')
    found = []
    for index in range(5):
        frame = Image.new('RGBA', small.size) if has_alpha else small.copy()
        frame.paste(part, (5 * index, 7))
        found.append(frame if has_alpha else frame.convert('RGB'))
    return found


def composed(path):
    """Return the frames that Pillow shows, [(RGBA, milliseconds)], and its loop number."""
    with Image.open(str(path)) as image:
        loop = image.info.get('loop')
        shown = [
            (np.asarray(each.convert('RGBA')).astype(int), each.info.get('duration'))
            for each in ImageSequence.Iterator(image)
        ]
        return shown, loop


def opened(path):
    sequence = reader.read_frames(str(path))
    assert sequence
    return sequence


def visible_difference(a, b):
    """Return the largest difference of two RGBA arrays; the colours of invisible pixels do not count."""
    a, b = (np.where(x[:, :, 3:] == 0, 0, x).astype(int) for x in (a, b))
    return np.abs(a - b).max()


def save_by_pillow(path, those, **options):
    those[0].save(str(path), save_all=True, append_images=those[1:], duration=DURATIONS, **options)


def rewritten(module, sequence, path, **settings):
    with open(str(path), 'w+b') as file:
        notes = []
        module.save_frames(file, sequence, base.Settings(**settings), notes)
    return notes


@with_judge
@pytest.mark.parametrize('has_alpha', [False, True])
@pytest.mark.parametrize('disposal', [0, 1, 2])
def test_gif_frames_are_composed_as_by_pillow(tmp_path, photo, has_alpha, disposal):
    save_by_pillow(tmp_path / 'a.gif', moving(photo, has_alpha), loop=3, disposal=disposal)
    expected, loop = composed(tmp_path / 'a.gif')
    sequence = opened(tmp_path / 'a.gif')
    found = list(sequence.frames())
    assert len(found) == len(expected) == 5 and sequence.plays == loop + 1
    for frame, (shown, duration) in zip(found, expected):
        assert visible_difference(frame.pixels, shown) == 0 and frame.milliseconds == duration


def test_a_gif_frame_with_disposal_3_is_removed_after_it_was_shown(tmp_path):
    """The file has a red frame, a green one that is removed, and a blue one in a corner; the rest is red again."""
    red, green, blue = (bytes(x) for x in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))

    def part(left, top, width, height, index, disposal):
        image = Image.fromarray(np.full((height, width), index, np.uint8))
        image.putpalette((red + green + blue).ljust(768, b'\7'))
        buffer = io.BytesIO()
        image.save(buffer, 'GIF', optimize=False, interlace=False)
        data = gif._parse(buffer.getvalue()).parts[0].data
        control = struct.pack('<BBBBHBB', 0x21, 0xF9, 4, disposal << 2, 7, 0, 0)
        return control + struct.pack('<BHHHHB', 0x2C, left, top, width, height, 0) + data

    palette = (red + green + blue).ljust(768, b'\7')
    content = b'GIF89a' + struct.pack('<HHBBB', 4, 4, 0xF7, 0, 0) + palette
    content += part(0, 0, 4, 4, 0, 1) + part(1, 1, 2, 2, 1, 3) + part(0, 0, 1, 1, 2, 1)
    (tmp_path / 'a.gif').write_bytes(content)  # without a trailer, which some programs omit
    first, second, third = (frame.pixels for frame in opened(tmp_path / 'a.gif').frames())
    assert (first == (255, 0, 0, 255)).all()
    assert (second[1:3, 1:3] == (0, 255, 0, 255)).all() and (second[0] == (255, 0, 0, 255)).all()
    assert (third[0, 0] == (0, 0, 255, 255)).all() and (third[1:] == (255, 0, 0, 255)).all()


@with_judge
@pytest.mark.parametrize('has_alpha', [False, True])
def test_pillow_reads_the_frames_of_a_written_gif(tmp_path, photo, has_alpha):
    save_by_pillow(tmp_path / 'a.gif', moving(photo, has_alpha), loop=0, comment=b'by hand', disposal=2)
    sequence = opened(tmp_path / 'a.gif')
    assert rewritten(gif, sequence, tmp_path / 'b.gif') == []
    shown, loop = composed(tmp_path / 'b.gif')
    assert loop == 0 and [duration for _, duration in shown] == DURATIONS
    for frame, (result, _) in zip(sequence.frames(), shown):
        assert np.array_equal(frame.pixels[:, :, 3], result[:, :, 3])  # 1 bit in both
        # Not equal, because some frames have a few colours more than a palette.
        assert np.abs(frame.pixels.astype(int) - result)[frame.pixels[:, :, 3] > 0].mean() < 1
    with Image.open(str(tmp_path / 'b.gif')) as image:
        assert image.info['comment'] == b'by hand'


@with_judge
def test_gif_of_few_colours_stays_exact_and_soft_edges_become_hard(tmp_path):
    array = np.zeros((9, 12, 4), np.uint8)
    array[:, :, 0], array[:, :, 3] = np.arange(12) * 20, np.arange(9)[:, np.newaxis] * 31
    sequence = frames.Sequence(
        frames.ANIMATION, [(12, 9)], lambda: iter([frames.Frame(array, metadata.Metadata(), 20)])
    )
    rewritten(gif, sequence, tmp_path / 'a.gif')
    shown = composed(tmp_path / 'a.gif')[0][0][0]
    opaque = array[:, :, 3] >= 128
    assert np.array_equal(shown[:, :, 3], 255 * opaque) and np.array_equal(shown[opaque][:, :3], array[opaque][:, :3])


def test_delays_of_a_gif_do_not_drift(tmp_path, photo):
    """A GIF stores hundredths of a second, so delays of 16 ms are rounded."""
    those = [np.asarray(photo.crop((i, 0, i + 16, 16))) for i in range(25)]
    made = [frames.Frame(each, metadata.Metadata(), 16) for each in those]
    sequence = frames.Sequence(frames.ANIMATION, [(16, 16)] * 25, lambda: iter(made))
    rewritten(gif, sequence, tmp_path / 'a.gif')
    read = opened(tmp_path / 'a.gif')
    assert [frame.milliseconds for frame in read.frames()][:5] == [20, 10, 20, 10, 20] and read.plays == 1
    assert sum(frame.milliseconds for frame in read.frames()) == 25 * 16


@pytest.mark.parametrize('has_alpha', [False, True])
def test_lossless_webp_frames_stay_exact(tmp_path, photo, has_alpha):
    save_by_pillow(tmp_path / 'a.webp', moving(photo, has_alpha), loop=2, lossless=True)
    expected, loop = composed(tmp_path / 'a.webp')
    sequence = opened(tmp_path / 'a.webp')
    assert sequence.plays == loop == 2 and sequence.is_lossless
    rewritten(webp, sequence, tmp_path / 'b.webp', lossless=True)
    again, loop = composed(tmp_path / 'b.webp')
    assert loop == 2 and len(again) == len(expected) == 5
    for frame, (shown, duration), (result, own) in zip(sequence.frames(), expected, again):
        plain = Image.fromarray(frame.pixels).convert('RGBA')
        assert visible_difference(np.asarray(plain), shown) == 0 == visible_difference(result, shown)
        assert own == duration == frame.milliseconds
    assert webp.is_lossless(str(tmp_path / 'b.webp'))


def test_webp_of_low_quality_is_smaller_and_no_longer_lossless(tmp_path, photo):
    save_by_pillow(tmp_path / 'a.webp', moving(photo, False), lossless=True)
    sequence = opened(tmp_path / 'a.webp')
    sizes = []
    for quality in (95, 40):
        rewritten(webp, sequence, tmp_path / 'b.webp', quality=quality)
        sizes.append((tmp_path / 'b.webp').stat().st_size)
        assert not webp.is_lossless(str(tmp_path / 'b.webp'))
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize('has_alpha', [False, True])
@pytest.mark.parametrize('disposal', [0, 1, 2])
@pytest.mark.parametrize('blend', [0, 1])
def test_apng_frames_are_composed_as_by_pillow_and_written_exactly(tmp_path, photo, has_alpha, disposal, blend):
    save_by_pillow(tmp_path / 'a.png', moving(photo, has_alpha), loop=4, disposal=disposal, blend=blend)
    expected, loop = composed(tmp_path / 'a.png')
    sequence = opened(tmp_path / 'a.png')
    assert sequence.plays == loop == 4
    rewritten(apng, sequence, tmp_path / 'b.png')
    again, loop = composed(tmp_path / 'b.png')
    assert loop == 4 and len(again) == len(expected) == 5
    for frame, (shown, duration), (result, own) in zip(sequence.frames(), expected, again):
        plain = np.asarray(Image.fromarray(frame.pixels).convert('RGBA'))
        if HAS_CURRENT_PILLOW and not (disposal == 2 and blend):  # in this case Pillow does not clear the first frame
            if not has_alpha:  # in a picture without alpha, Pillow clears to black
                shown[:, :, 3] = plain[:, :, 3]
            assert visible_difference(plain, shown) <= 1  # Pillow rounds blended pixels differently
        assert visible_difference(plain, result) == 0 and own == duration == frame.milliseconds


def test_apng_keeps_16_bits(tmp_path):
    made = [np.arange(96, dtype=np.uint16).reshape(8, 12, 1) * 600 + step for step in (0, 7)]
    those = [frames.Frame(each, metadata.Metadata(), 1000 / 60) for each in made]
    rewritten(apng, frames.Sequence(frames.ANIMATION, [(12, 8)] * 2, lambda: iter(those), 0), tmp_path / 'a.png')
    sequence = opened(tmp_path / 'a.png')
    assert sequence.plays == 0
    for frame, array in zip(sequence.frames(), made):
        assert frame.pixels.dtype == np.uint16 and np.array_equal(frame.pixels, array)


@pytest.mark.parametrize('milliseconds, fraction', [(50, (50, 1000)), (70000, (7000, 100)), (1e9, (65535, 1))])
def test_long_delays_of_an_apng_have_another_denominator(milliseconds, fraction):
    assert apng.fraction_of(milliseconds) == fraction


def write_pages(path, arrays):
    with tifffile.TiffWriter(str(path)) as file:
        for number, array in enumerate(arrays):
            file.write(
                array,
                photometric='rgb' if array.ndim == 3 else 'minisblack',
                description=f'page {number}',
                resolution=(100 + number, 100 + number),
                metadata=None,
            )


def test_pages_of_a_tiff_keep_their_sizes_depths_and_tags(tmp_path, photo):
    colour = np.asarray(photo)[:30, :40]
    arrays = [colour, colour[:20, :, 0].astype(np.uint16) * 257, np.ascontiguousarray(colour[:, :17])]
    write_pages(tmp_path / 'a.tif', arrays)
    sequence = opened(tmp_path / 'a.tif')
    assert sequence.kind == frames.PAGES and sequence.sizes == [(40, 30), (40, 20), (17, 30)]
    rewritten(tiff_pages, sequence, tmp_path / 'b.tif')
    with tifffile.TiffFile(str(tmp_path / 'b.tif')) as file:
        assert len(file.pages) == 3
        file.pages.useframes = False
        for number, (page, array) in enumerate(zip(file.pages, arrays)):
            assert np.array_equal(page.asarray(), array) and page.asarray().dtype == array.dtype
            assert page.tags['ImageDescription'].value == f'page {number}'
            assert page.tags['XResolution'].value == (100 + number, 1)


def test_a_note_says_that_a_format_with_8_bits_loses_16(tmp_path):
    array = np.full((4, 4, 3), 65535, np.uint16)
    sequence = frames.Sequence(
        frames.ANIMATION, [(4, 4)] * 2, lambda: iter(2 * [frames.Frame(array, metadata.Metadata(), 10)])
    )
    with open(str(tmp_path / 'a.webp'), 'w+b') as file:
        assert writer.save_frames(file, '.webp', sequence, base.Settings()) == [
            'saved with 8 bits a channel: WEBP does not hold 16'
        ]
    assert composed(tmp_path / 'a.webp')[0][0][0].min() > 250


def pq_code(light):
    """The PQ value 0...1 of light in cd/m² (SMPTE ST 2084, equation 5.2)."""
    power = (light / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def test_hdr_frames_become_srgb_where_the_format_cannot_store_their_colours(tmp_path):
    """White is 203 cd/m² (ITU-R BT.2408); 18 % of its light is the value 117.6 of 255 in sRGB (IEC 61966-2-1)."""
    rows = [pq_code(203), pq_code(0.18 * 203), 0]
    array = np.round(np.broadcast_to(np.reshape(rows, (3, 1, 1)) * 65535, (3, 4, 3))).astype(np.uint16)
    said = metadata.Metadata(png_colour={b'cICP': bytes([9, 16, 0, 1])})
    sequence = frames.Sequence(frames.ANIMATION, [(4, 3)] * 2, lambda: iter(2 * [frames.Frame(array, said, 10)]))
    with open(str(tmp_path / 'a.webp'), 'w+b') as file:
        notes = writer.save_frames(file, '.webp', sequence, base.Settings(lossless=True))
    assert [note for note in notes if 'HDR colours converted to sRGB' in note]
    for shown, _ in composed(tmp_path / 'a.webp')[0]:
        assert np.abs(shown[:, 0, 0].astype(float) - [255, 117.6, 0]).max() <= 1


@pytest.mark.parametrize('ending', ['.gif', '.webp', '.tif', '.png'])
def test_the_error_for_a_damaged_file_of_frames_does_not_repeat_its_name(tmp_path, photo, ending):
    path = str(tmp_path / f'a{ending}')
    photo.crop((0, 0, 32, 32)).save(path, save_all=True, duration=20, append_images=[photo.crop((8, 8, 40, 40))])
    with open(path, 'rb+') as file:
        file.truncate(os.path.getsize(path) // 3)
    with pytest.raises(ValueError) as raised:
        sequence = reader.read_frames(path)
        assert sequence
        list(sequence.frames())
    assert str(raised.value).count(path) <= 1, raised.value  # sequences.py names it for a damaged page


# --- the command


@pytest.mark.parametrize(
    'flags, name, count',
    [
        ([], 'a_x2.gif', 5),
        (['--ext=jpg'], 'a_x2.jpg', 1),
        pytest.param(['--ext=webp'], 'a_x2.webp', 5, marks=pytest.mark.slow),
        pytest.param(['--ext=png'], 'a_x2.png', 5, marks=pytest.mark.slow),
    ],
)
def test_all_frames_of_a_gif_become_an_animation(upscale, photo, flags, name, count):
    save_by_pillow(upscale.source / 'a.gif', moving(photo, True), loop=0, disposal=2)
    ended = upscale('--all-frames', *flags)
    assert ended.status == 0 and '--all-frames' not in ended.out, ended
    assert ('the first of 5 frames: JPEG is written without animation' in ended.out) == (count == 1)
    with Image.open(str(upscale.target / name)) as image:
        assert image.size == (96, 80) and getattr(image, 'n_frames', 1) == count
    if count > 1:
        shown, loop = composed(upscale.target / name)
        assert [duration for _, duration in shown] == DURATIONS and loop == 0
        if HAS_CURRENT_PILLOW:
            for frame, (result, _) in zip(opened(upscale.source / 'a.gif').frames(), shown):
                small = result.reshape(40, 2, 48, 2, 4).mean((1, 3))  # the network of this test only repeats pixels
                both = (frame.pixels[:, :, 3] > 0) & (small[:, :, 3] == 255)
                assert both.mean() > 0.1 and np.abs(frame.pixels - small)[both].mean() < 12


def test_each_page_is_enlarged_and_the_report_shows_the_first(upscale, photo, tmp_path):
    pages = [np.asarray(photo)[:30, :40], np.asarray(photo)[:50, :25, 0].astype(np.uint16) * 257]
    write_pages(upscale.source / 'a.tif', pages)
    (upscale.source / 'broken.tif').write_bytes(b'II*\0 and no more')
    ended = upscale('--all-frames', f'--report={tmp_path / "page"}')
    assert ended.status == 1 and '1 done' in ended.out, ended
    with tifffile.TiffFile(str(upscale.target / 'a_x2.tif')) as file:
        shapes = [page.asarray().shape for page in file.pages]
        assert shapes == [(60, 80, 3), (100, 50)] and file.pages[1].asarray().dtype == np.uint16
    page = (tmp_path / 'page' / 'index.html').read_text(encoding='utf-8')
    assert 'data-width="80" data-height="60"' in page and f'href="../{upscale.target.name}/a_x2.tif"' in page
    assert 'data-text="failure" data-count="1"' in page and 'broken.tif: cannot be used as an image' in page
    assert '1 skipped' in upscale('--all-frames', '--resume').out


def test_first_frame_is_the_default_and_the_note_names_the_flag(upscale, photo):
    save_by_pillow(upscale.source / 'a.webp', moving(photo, False))
    ended = upscale()
    assert ended.status == 0 and 'the first of 5 frames: --all-frames enlarges all' in ended.out
    with Image.open(str(upscale.target / 'a_x2.webp')) as image:
        assert getattr(image, 'n_frames', 1) == 1


@pytest.mark.slow
def test_a_damaged_later_frame_leaves_no_partial_result(upscale, photo):
    save_by_pillow(upscale.source / 'a.gif', moving(photo, False))
    content = (upscale.source / 'a.gif').read_bytes()
    (upscale.source / 'a.gif').write_bytes(content[: len(content) * 2 // 3])
    assert_refused(upscale('--all-frames'), 'a.gif', 'the file is truncated')
    assert not list(upscale.target.glob('*'))
    assert upscale().status == 0


@pytest.mark.slow
def test_the_estimate_counts_the_pixels_of_all_frames(upscale, photo):
    save_by_pillow(upscale.source / 'a.webp', [each.resize((200, 250)) for each in moving(photo, False)])
    assert '1 picture, 0.25 megapixels' in upscale('--all-frames').out
