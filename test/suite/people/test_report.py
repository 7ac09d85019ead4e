"""The report and its views: complete or not written, with any names; SSIM."""

import concurrent.futures
import itertools
import os
import sys

from pictures.report import report
from rdn import files
from rdn.accuracy import metrics

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from report_pages import NAMES, SIZES, Links, crop, read, views, write


@pytest.fixture
def page(tmp_path, photos):
    """Write a report on three pictures, two with originals and one large, and return its path."""
    return write(tmp_path / 'out', photos)


def assert_whole(path):
    """Assert that all views of a page exist and can be read."""
    for name in views(path):
        Image.open(os.path.join(os.path.dirname(path), 'index_views', name)).load()


def test_the_page_contains_thumbnails_and_refers_only_to_its_views(page):
    links = Links(page)
    assert sorted(os.listdir(os.path.dirname(page))) == ['index.html', 'index_views']
    assert sorted(os.listdir(os.path.join(os.path.dirname(page), 'index_views'))) == sorted(views(page))
    assert len(views(page)) == 3 + 3 + 2 and views(page)
    thumbnails = [link for link in links.found if link.startswith('data:image/')]
    assert len(thumbnails) == 3 and set(links.found) - set(thumbnails) == {'#p1', '#p2'}
    assert 'url(' not in read(page) and '@import' not in read(page) and 'http' not in read(page)


def test_names_are_text_and_figures_are_shown(page):
    links = Links(page)
    assert all(name in links.text for name in NAMES)
    text = ' '.join(links.text)
    assert 'PSNR 30.25 → 35.50 dB, SSIM 0.9000 → 0.9500' in text and '+5.25' in links.text
    assert (
        'data-text="pixels" data-width="1500" data-height="1300"></span><span data-text="middle" data-width="1200"'
        in read(page)
    )


def test_views_have_the_pixels_of_the_pictures(page, photos):
    folder = os.path.join(os.path.dirname(page), 'index_views')
    pictures = [Image.open(os.path.join(folder, name)) for name in views(page)]
    for index, picture in enumerate(pictures[:3]):
        rough, fine = crop(photos, 0, SIZES[0])
        assert picture.format == 'PNG' and np.array_equal(picture, [fine, rough, fine][index])
    fine = crop(photos, 2, SIZES[2])[1].crop((150, 50, 1350, 1250))
    assert pictures[-2].format == 'WEBP' and pictures[-2].size == fine.size == (1200, 1200)
    assert np.abs(np.asarray(pictures[-2].convert('RGB')).astype(int) - np.asarray(fine)).mean() < 3


def test_views_contain_no_profile_and_no_orientation(tmp_path, photos):
    """The pixels are sRGB and upright already: a profile would change the colours again, an orientation the turn."""
    rough, fine = crop(photos, 0, (1000, 800))
    exif = Image.Exif()
    exif[274] = 6
    for image in (rough, fine):
        image.info.update(icc_profile=b'of a wide screen', exif=exif.tobytes())
    with report.writing(str(tmp_path)) as page:
        page.add('large', report.Views(rough, fine))
        page.add('small', report.Views(rough.crop((0, 0, 90, 80)), fine.crop((0, 0, 90, 80))))
    for name in views(page.path):
        info = Image.open(str(tmp_path / 'index_views' / name)).info
        assert not {'icc_profile', 'exif'} & set(info)


def test_names_of_views_never_clash(tmp_path, photos):
    names = [
        'a/x.png',
        'b/x.jpg',
        'a/X.png',
        'a x.png',
        'a%20x.png',
        '#?',
        '"\'',
        'con',
        '..',
        '',
        '中文',
        '😀',
        'n' * 900,
    ]
    names += ['a/x.png', '\udcff.png', '$' + '{x}$pictures', 'a\nb']  # a repeated name; bytes that are not UTF-8
    with report.writing(str(tmp_path)) as page:
        for index, name in enumerate(names):
            fine = crop(photos, 0, (200, 120))[1].crop((index, 0, 60 + index, 40))
            page.add(name, report.Views(fine.rotate(180), fine))
    found = os.listdir(str(tmp_path / 'index_views'))
    assert len(found) == len({name.lower() for name in found}) == 2 * len(names)
    for name in found:
        assert report.VIEW_PATTERN.fullmatch(name) and len(name) < 100
    with open(page.path, encoding='utf-8') as file:  # it is UTF-8 with any names
        text = file.read()
    assert '<bdi>$' + '{x}$pictures</bdi>' in text and r'<bdi>\xff.png</bdi>' in text


def test_a_page_of_300_pictures_is_smaller_than_25_megabytes(tmp_path, photos):
    """An entry keeps only its thumbnail in memory, not the views; here it is of the photograph with the most detail."""
    fine = Image.open(photos[3]).convert('RGB').resize((320, 320))
    tiny = fine.resize((8, 8))
    with report.writing(str(tmp_path)) as page:
        page.add('folder/detailed.png', report.Views(fine, fine, fine), report.Figures((30.0, 31.0), (0.9, 0.91)))
        for index in range(1, 300):
            page.add(
                f'folder/picture {index}.png', report.Views(tiny, tiny, tiny), report.Figures((30.0, 31.0), (0.9, 0.91))
            )
    largest = max(len(entry.thumbnail) for entry in page.entries)
    assert os.path.getsize(page.path) + 300 * largest < 25e6 and largest > 5000
    assert sum(len(field) for field in page.entries[0] if isinstance(field, str)) < largest + 300


def test_threads_add_pictures_in_the_order_of_positions(tmp_path, photos):
    rough, fine = crop(photos, 0, (90, 60))
    with report.writing(str(tmp_path)) as page, concurrent.futures.ThreadPoolExecutor(8) as executor:
        for position in np.random.RandomState(0).permutation(50):
            executor.submit(page.add, f'{position:02}', report.Views(rough, fine), position=int(position))
    assert [entry.name for entry in page.entries] == [f'{position:02}' for position in range(50)]
    assert_whole(page.path)


def test_same_pictures_make_the_same_files(tmp_path, photos):
    first, second = write(tmp_path / 'a', photos), write(tmp_path / 'b', photos)
    assert read(first) == read(second)
    before = {name: os.path.getmtime(str(tmp_path / 'a' / 'index_views' / name)) for name in views(first)}
    write(tmp_path / 'a', photos)
    assert set(os.listdir(str(tmp_path / 'a' / 'index_views'))) == set(before)


def test_earlier_views_are_removed_and_other_files_stay(tmp_path, photos):
    folder = tmp_path / 'out' / 'index_views'
    earlier = views(write(tmp_path / 'out', photos))
    (tmp_path / 'out' / 'mine.png').write_bytes(b'mine')
    (folder / 'notes.txt').write_bytes(b'mine')
    (folder / 'x_rdn.0123456789abcdef.png').write_bytes(b'looks like a view')
    (folder / earlier[0]).write_bytes(b'painted over')
    (folder / 'x_rdn.0123456789abcdee.png').mkdir()
    page = write(tmp_path / 'out', photos, ['another'])
    assert_whole(page)
    kept = {'notes.txt', 'x_rdn.0123456789abcdef.png', 'x_rdn.0123456789abcdee.png', earlier[0]}
    assert set(os.listdir(str(folder))) == kept | set(views(page))
    assert sorted(os.listdir(str(tmp_path / 'out'))) == ['index.html', 'index_views', 'mine.png']


def test_a_failure_leaves_the_old_page_and_its_views(tmp_path, photos):
    path = write(tmp_path / 'out', photos)
    before, kept = read(path), set(views(path))
    with pytest.raises(OSError), report.writing(str(tmp_path / 'out')) as page:
        page.add('another', report.Views(*crop(photos, 3, (90, 60))))
        raise OSError('the disk is full')
    assert read(path) == before and set(os.listdir(os.path.dirname(path))) == {'index.html', 'index_views'}
    assert set(os.listdir(str(tmp_path / 'out' / 'index_views'))) == kept
    with report.writing(str(tmp_path / 'out')) as page:
        pass  # as if all pictures were skipped
    assert read(path) == before and not page.entries


def stop_at(step, stop, patch):
    """Call `stop` before change number `step` of names on the disk."""
    steps = itertools.count(1)

    def stopping(function):
        def call(path, *args, **kwargs):
            if not str(path).endswith(files.LOCK_ENDING) and next(steps) == step:
                stop()
            return function(path, *args, **kwargs)

        return call

    for name in ('mkdir', 'replace', 'remove', 'rmdir'):
        patch.setattr(os, name, stopping(getattr(os, name)))


def interrupt():
    raise KeyboardInterrupt


def is_done_before(step, folder, photos, monkeypatch, is_killed):
    """Write a report that is stopped at a step; return whether it was complete before."""
    if is_killed:
        child = os.fork()
        if child:
            return os.waitpid(child, 0)[1] == 0
    with monkeypatch.context() as patch:
        stop_at(step, (lambda: os._exit(9)) if is_killed else interrupt, patch)
        try:
            write(folder, photos, [f'x{step}', f'y{step}'])
        except KeyboardInterrupt:
            return False
        finally:
            if is_killed:
                os._exit(0 if sys.exc_info()[0] is None else 1)
    return True


@pytest.mark.slow
@pytest.mark.parametrize('is_killed', [False, True])
def test_a_page_is_never_without_its_views(tmp_path, photos, monkeypatch, is_killed):
    """If a run is stopped at any step, the page, old or new, has all its views. The next run removes the rest."""
    path = write(tmp_path / 'out', photos)
    step = 1
    while not is_done_before(step, tmp_path / 'out', photos, monkeypatch, is_killed):
        assert_whole(path)
        step += 1
    assert step > 5 and 'y' + str(step) in read(path)
    write(tmp_path / 'out', photos)
    assert set(os.listdir(str(tmp_path / 'out'))) == {'index.html', 'index_views'}
    assert sorted(os.listdir(str(tmp_path / 'out' / 'index_views'))) == sorted(views(path))


def test_a_first_page_that_fails_leaves_nothing(tmp_path, photos, monkeypatch):
    def fail(path, text):
        raise OSError('the disk is full')

    monkeypatch.setattr(files, 'write_text', fail)
    with pytest.raises(OSError):
        write(tmp_path / 'out', photos)
    assert os.listdir(str(tmp_path / 'out')) == []


def test_reports_written_at_once_leave_one_complete_page(tmp_path, photos):
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        for done in [executor.submit(write, tmp_path, photos, [f'x{n}', f'y{n}']) for n in range(8)]:
            done.result()
    assert_whole(str(tmp_path / 'index.html'))
    assert set(os.listdir(str(tmp_path / 'index_views'))) == set(views(str(tmp_path / 'index.html')))


def test_upscaled_pictures_are_on_the_page_with_their_folders(upscale, photo):
    for name in ('b.png', 'a/x.png', 'a/b c/x.jpg'):
        (upscale.source / name).parent.mkdir(parents=True, exist_ok=True)
        photo.crop((0, 0, 30, 20)).save(str(upscale.source / name))
    ended = upscale(f'--report={upscale.target}')
    path = str(upscale.target / 'index.html')
    assert ended.status == 0 and f'report: {path}' in ended.out, ended.err
    assert {'b.png', 'a/x.png', 'a/b c/x.jpg'} <= set(Links(path).text)
    assert_whole(path)
    again = upscale(f'--report={upscale.target}', '--resume')
    assert again.status == 0 and '3 skipped' in again.out
    assert {'b.png', 'a/x.png', 'a/b c/x.jpg'} <= set(Links(path).text)  # the results of the first run too
    assert_whole(path)


@pytest.mark.parametrize('name', ['index.html', 'index_views'])
def test_a_link_in_the_way_is_refused_at_once(tmp_path, photos, name):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / name).symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(FileExistsError, match=name), report.writing(str(tmp_path)):
        pytest.fail('the work was begun')


def test_views_of_different_sizes_are_refused(tmp_path, photos):
    rough, fine = crop(photos, 0, (90, 60))
    with report.writing(str(tmp_path)) as page:
        with pytest.raises(ValueError, match=r'x\.png: the views differ in size'):
            page.add('x.png', report.Views(rough, fine.crop((0, 0, 89, 60))))
        page.add('y.png', report.Views(rough, fine))
        assert len(page.entries) == 1
    assert os.path.exists(page.path)


def test_figures_that_cannot_be_measured_are_shown_as_such(tmp_path, photos):
    """Equal images have no finite PSNR, tiny ones no SSIM."""
    fine = crop(photos, 0, (20, 20))[1]
    with report.writing(str(tmp_path)) as page:
        page.add(
            'equal',
            report.Views(fine, fine, fine),
            report.Figures((float('inf'), float('inf')), (float('nan'), float('nan'))),
        )
        page.add('other', report.Views(fine, fine, fine), report.Figures((30.0, float('inf')), (1.0, 1.0)))
    text = read(page.path)
    assert 'PSNR ∞ → ∞ dB, SSIM – → –' in text and '<td>30.00</td><td>∞</td><td>+∞</td>' in text and 'nan' not in text


def test_ssim_is_the_papers_on_luma(prepared):
    hr = prepared[1]['coffee']
    sr = np.clip(hr + np.random.RandomState(0).normal(0, 0.03, hr.shape), 0, 1).astype(np.float32)
    a, b = (16 + np.tensordot([64.738, 129.057, 25.064], x[:, 2:-2, 2:-2] * 255.0, 1) / 256 for x in (sr, hr))
    window = {'gaussian_weights': True, 'sigma': 1.5, 'use_sample_covariance': False}
    assert abs(metrics.sr_ssim(sr, hr, 2) - structural_similarity(a, b, data_range=255, **window)) < 1e-6
    assert metrics.sr_ssim(hr, hr, 2) == pytest.approx(1)
    assert np.isnan(metrics.sr_ssim(hr[:, :12, :12], hr[:, :12, :12], 2))


def test_links_are_relative_and_may_contain_names_that_are_not_utf_8(tmp_path):
    folder = str(tmp_path / 'a' / 'page')
    assert report.link_to(str(tmp_path / 'a' / 'caf\udce9 "1".jpg'), folder) == '../caf%E9%20%221%22.jpg'
    assert report.link_to(os.path.join(folder, 'javascript:x.png'), folder) == 'javascript%3Ax.png'
