"""The report: index.html with a before/after slider for each picture, and the views of the pictures in index_views/.

The page needs neither a server nor the Internet. It contains thumbnails; the browser loads a view when the user scrolls
to it.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import html
import io
import itertools
import math
import os
import re
import string
import urllib.parse
from typing import Callable, Iterator, NamedTuple, Sequence

from rdn import escaping, files

import numpy as np
from PIL import Image

PAGE_NAME = 'index.html'
VIEWS_NAME = 'index_views'  # the folder of the views, beside the page
NETWORK = 'RDN'  # the default title of the network
SHOWN_SIDE_PIXELS = 1200  # larger pictures are cropped to their middle
MAX_PNG_PIXELS = 600 * 600  # larger views are WebP files
WEBP_QUALITY = 95
THUMBNAIL_SIDE_PIXELS = 320  # shown until the view is loaded
THUMBNAIL_QUALITY = 60
MAX_SLUG_LETTERS = 40
MODEL_DIGITS = 12  # the page shows so many digits of the model's SHA-256
VIEW_PATTERN = re.compile(r'[a-z0-9-]+_(?:bicubic|rdn|original)\.([0-9a-f]{16})\.(?:png|webp)')


class ModelFile(NamedTuple):
    """The file of the model that enlarged the pictures.

    Attributes:
        name: the file's name.
        digest: its SHA-256 in hexadecimal digits.
    """

    name: str
    digest: str


class Views(NamedTuple):
    """The images that the page shows of a picture: Pillow RGB images of one size, in sRGB. Their profiles are ignored.

    Attributes:
        bicubic: the picture enlarged by Pillow's bicubic interpolation.
        rdn: the picture enlarged by the network.
        original: the true picture, before it was reduced; None if it is unknown.
        size: (width, height) of the whole picture in pixels, if the images are only its middle; else None.
    """

    bicubic: Image.Image
    rdn: Image.Image
    original: Image.Image | None = None
    size: tuple[int, int] | None = None


class Figures(NamedTuple):
    """The accuracy of a picture's two enlargements, (bicubic, network).

    Attributes:
        psnr: PSNR on luma in dB.
        ssim: SSIM.
    """

    psnr: tuple[float, float]
    ssim: tuple[float, float]


class Entry(NamedTuple):
    """A picture on the page.

    Attributes:
        name: the picture's title.
        size: (width, height) of the enlarged picture in pixels.
        shown: (width, height) of its views in pixels.
        thumbnail: a data URI.
        bicubic: the file name of the bicubic view.
        rdn: the file name of the network's view.
        original: the file name of the original's view; None if the original is unknown.
        psnr: PSNR in dB of (bicubic, network); None if the original is unknown.
        ssim: SSIM of (bicubic, network); None if the original is unknown.
        link: a relative URL of the full-size result; None for no link.
    """

    name: str
    size: tuple[int, int]
    shown: tuple[int, int]
    thumbnail: str
    bicubic: str
    rdn: str
    original: str | None
    psnr: tuple[float, float] | None
    ssim: tuple[float, float] | None
    link: str | None = None


class Report:
    """The page while pictures are added; `writing` makes it.

    Args:
        path: of index.html.
        scratch: a folder for new views, until they are complete.

    Attributes:
        path: of index.html.
    """

    def __init__(self, path: str, scratch: str):
        self.path = path
        self._views, self._scratch = os.path.join(os.path.dirname(path), VIEWS_NAME), scratch
        self._numbers = itertools.count()  # atomic like list.append, so threads need no lock
        self._added: list[tuple[float, int, Entry]] = []
        self._failures: list[str] = []
        self._failed = 0

    @property
    def entries(self) -> list[Entry]:
        """The pictures added up to now, in the page's order."""
        return [entry for _, _, entry in sorted(self._added, key=lambda added: added[:2])]

    def list_failures(self, lines: Sequence[str], count: int) -> None:
        """List the pictures that failed.

        Args:
            lines: messages about the first pictures that failed, one for each.
            count: the number of all pictures that failed.
        """
        self._failures, self._failed = list(lines), count

    def add(
        self,
        name: str,
        views: Views,
        figures: Figures | None = None,
        position: float | None = None,
        result: str | None = None,
    ) -> None:
        """Add a picture: write its views, and keep its thumbnail and figures. Several threads may call it at once.

        Args:
            name: the picture's title: any text, for instance a path with its folders.
            views: the images to show.
            figures: the picture's PSNR and SSIM; None if the original is unknown.
            position: the picture's place on the page, which is sorted by this number; None for the order of the calls.
            result: the path of the full-size result, to which the page links; None for no link.

        Raises:
            ValueError: the images differ in size.
            OSError: a view cannot be written.
        """
        sizes = {image.size for image in views[:3] if image}
        if len(sizes) > 1:
            raise ValueError(f'{name}: the views differ in size: {sorted(sizes)}')
        middle = _middle(views.rdn)
        entry = Entry(
            name=name,
            size=views.size or views.rdn.size,
            shown=middle.size,
            thumbnail=_thumbnail(middle),
            bicubic=self._write_view(name, 'bicubic', _middle(views.bicubic)),
            rdn=self._write_view(name, 'rdn', middle),
            original=self._write_view(name, 'original', _middle(views.original)) if views.original else None,
            psnr=figures and figures.psnr,
            ssim=figures and figures.ssim,
            link=result and link_to(result, os.path.dirname(self.path)),
        )
        number = next(self._numbers)
        self._added.append((number if position is None else position, number, entry))

    def page(self, network: str, model: ModelFile | None) -> str:
        """Return the text of index.html.

        Args:
            network: the network's title.
            model: the model's file; None if the page should not name it.
        """
        return _page(self.entries, _failures(self._failures, self._failed), network, model)

    def _write_view(self, name: str, kind: str, image: Image.Image) -> str:
        """Write a view and return its file name, which contains a digest: different views never share a name."""
        ending = 'png' if image.width * image.height <= MAX_PNG_PIXELS else 'webp'
        content = _encode(image, ending, WEBP_QUALITY)
        view_name = f'{_slug(name)}_{kind}.{_digest(content)}.{ending}'
        path, partial = (os.path.join(folder, view_name) for folder in (self._views, self._scratch))
        with files.full_disk_naming(path, partial), open(partial, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return view_name


@contextlib.contextmanager
def writing(folder: str, network: str = NETWORK, model: ModelFile | None = None) -> Iterator[Report]:
    """Yield a Report to add pictures to, and write the page when the block ends without an error.

    The new page replaces an earlier one, whose views are then removed. If the block raises an error, or if no picture
    was added, the earlier page keeps its place and its views. Other files in the folder and in index_views/ are kept.

    Args:
        folder: the folder for index.html and index_views/.
        network: the network's title, for the page's texts.
        model: the model's file; None if the page should not name it.

    Yields:
        The Report.

    Raises:
        OSError: the folder cannot be written; index.html is a link or a folder; or index_views is a link or a file.
    """
    path, views = os.path.join(folder, PAGE_NAME), os.path.join(folder, VIEWS_NAME)
    _check_place(path, os.path.isfile)
    _check_place(views, os.path.isdir)
    with files.scratch_folder(views) as scratch:
        report = Report(path, scratch)
        yield report
        if report.entries:
            _publish(scratch, views, path, report.page(network, model))


def _check_place(path: str, is_right: Callable[[str], bool]) -> None:
    if os.path.lexists(path) and (os.path.islink(path) or not is_right(path)):
        raise FileExistsError(errno.EEXIST, 'is in the way of the report: move or rename it', path)


def _publish(scratch: str, views: str, path: str, text: str) -> None:
    """Move the new views in, replace the page, then remove unused views, so that a page never lacks its views."""
    os.makedirs(views, exist_ok=True)
    with files.locked(views):
        try:
            for name in sorted(os.listdir(scratch)):
                os.replace(os.path.join(scratch, name), os.path.join(views, name))
            files.write_text(path, text)
        finally:
            _remove_unused(views, path)


def _remove_unused(views: str, path: str) -> None:
    """Remove all views that the current page does not show; keep files that are not views of a report."""
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            used = set(re.findall(VIEWS_NAME + r'/([^"]*)"', file.read()))
    except FileNotFoundError:
        used = set()
    except OSError:  # the page may need any view
        return
    for name in sorted(set(os.listdir(views)) - used):
        view = os.path.join(views, name)
        with contextlib.suppress(OSError):  # an unused view does no harm
            if _is_view(view):
                os.remove(view)
    if not used:
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(views)


def _is_view(path: str) -> bool:
    """Return whether a report wrote this file, and nobody changed it since: the digest in its name fits its content."""
    match = VIEW_PATTERN.fullmatch(os.path.basename(path))
    if not match or os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, 'rb') as file:
        return _digest(file.read()) == match.group(1)


def _digest(content: bytes) -> str:
    return hashlib.sha256(b'a view of pictures/report/report.py' + content).hexdigest()[:16]


def _slug(name: str) -> str:
    """Return the end of a picture's name for a file name, in lower-case ASCII letters, digits and hyphens."""
    stem = os.path.splitext(name)[0].lower()
    return re.sub('[^a-z0-9]+', '-', stem)[-MAX_SLUG_LETTERS:].strip('-') or 'picture'


def _middle(image: Image.Image) -> Image.Image:
    left, top = (max(0, side - SHOWN_SIDE_PIXELS) // 2 for side in image.size)
    right, bottom = (min(side, SHOWN_SIDE_PIXELS + start) for side, start in zip(image.size, (left, top)))
    middle = image.crop((left, top, right, bottom))
    middle.info = {}  # without profile and orientation: the pixels are upright and in sRGB already
    return middle


def _thumbnail(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE_PIXELS, THUMBNAIL_SIDE_PIXELS), Image.LANCZOS)
    content = _encode(small, 'webp', THUMBNAIL_QUALITY)
    return f'data:image/webp;base64,{base64.b64encode(content).decode()}'


def _shown(name: str) -> str:
    """Return a file's name as HTML, with escapes for bytes that are not UTF-8, which would make the page invalid."""
    return html.escape(escaping.escape(name))


def _encode(image: Image.Image, kind: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def link_to(path: str, folder: str) -> str:
    """Return the relative URL of a file for a page in a folder; the file's name need not be UTF-8."""
    relative = os.path.relpath(os.path.abspath(path), os.path.abspath(folder))
    return urllib.parse.quote(os.fsencode(relative))


def _page(entries: Sequence[Entry], failures: str, network: str, model: ModelFile | None) -> str:
    """Return index.html: names and numbers in the frame of report.html, which has the words in each language."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'report.html'), encoding='utf-8') as file:
        frame = string.Template(file.read())
    known = [entry for entry in entries if entry.psnr]
    summary = _words('picture' if len(entries) == 1 else 'pictures', count=len(entries))
    if known:
        bicubic, rdn = (_number(x, 2) for x in _average(known, 'psnr'))
        summary += ' ' + _words('averages', bicubic=bicubic, rdn=rdn)
    return frame.substitute(
        network=html.escape(network),
        model=_model_line(model) if model else '',
        summary=summary,
        failures=failures,
        chart=_chart(known, network) if known else '',
        table=_table(entries) if known else '',
        pictures='\n'.join(_figure(number, entry) for number, entry in enumerate(entries, 1)),
    )


def _failures(lines: Sequence[str], count: int) -> str:
    """Return the list of pictures that failed as HTML; empty if every picture succeeded."""
    if not count:
        return ''
    items = ''.join(f'<li><bdi>{html.escape(line)}</bdi>' for line in lines)
    more = f'<li>{_words("more_failures", count=count - len(lines))}' if count > len(lines) else ''
    return (
        f'<details class="failures" open><summary>{_words("failures" if count > 1 else "failure", count=count)}</summary>\n'
        f'<ul>{items}{more}</ul></details>'
    )


def _model_line(model: ModelFile) -> str:
    digits = model.digest[:MODEL_DIGITS]
    return f'<p class="model"><bdi>{html.escape(model.name)}</bdi>, <span title="{model.digest}">SHA-256 {digits}…</span></p>'


def _words(key: str, tag: str = 'span', **values: object) -> str:
    """Return an element that the page's script fills with the text `key` in the reader's language."""
    data = ''.join(f' data-{name}="{html.escape(str(value))}"' for name, value in values.items())
    return f'<{tag} data-text="{key}"{data}></{tag}>'


def _number(value: float, digits: int, sign: str = '') -> str:
    if math.isnan(value):
        return '–'
    return f'{value:{sign}.{digits}f}'.replace('inf', '∞')


def _average(entries: Sequence[Entry], figure: str) -> tuple[float, float]:
    bicubic, rdn = np.mean([getattr(entry, figure) for entry in entries], 0)
    return float(bicubic), float(rdn)


def _table(entries: Sequence[Entry]) -> str:
    """Return a table of the figures of all pictures with a known original. A picture's name links to its slider."""
    rows = [
        _row(f'<a href="#p{number}"><bdi>{_shown(entry.name)}</bdi></a>', entry.psnr, entry.ssim)
        for number, entry in enumerate(entries, 1)
        if entry.psnr and entry.ssim
    ]
    known = [entry for entry in entries if entry.psnr]
    average = _row(_words('average'), _average(known, 'psnr'), _average(known, 'ssim'))
    heads = ''.join(
        _words(key, 'th') for key in ('name', 'psnr_bicubic', 'psnr_rdn', 'gain', 'ssim_bicubic', 'ssim_rdn')
    )
    joined = '\n'.join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" data-label="table"><table>\n<thead><tr>{heads}</thead>\n'
        f'<tbody>\n{joined}\n</tbody>\n<tfoot>{average}</tfoot>\n</table></div>'
    )


def _row(name: str, psnr: Sequence[float], ssim: Sequence[float]) -> str:
    numbers = [_number(psnr[0], 2), _number(psnr[1], 2), _number(psnr[1] - psnr[0], 2, '+')]
    numbers += [_number(x, 4) for x in ssim]
    return f'<tr><th scope="row">{name}</th>' + ''.join(f'<td>{number}</td>' for number in numbers)


def _chart(entries: Sequence[Entry], network: str) -> str:
    """Return a chart of the PSNR of each picture: a hollow dot for bicubic, a full one for the network, and a line."""
    finite = [x for entry in entries for x in entry.psnr or () if math.isfinite(x)] or [0]
    low, high = math.floor(min(finite)) - 1, math.ceil(max(finite)) + 1
    step = max(1, math.ceil((high - low) / 8))

    def percent(psnr: float) -> float:
        return 100 * (min(high, max(low, psnr)) - low) / (high - low)  # 0 for NaN too

    ticks = ''.join(f'<i style="left:{percent(x):.2f}%">{x}</i>' for x in range(low, high + 1, step))
    rows = [f'<div class="axis"><span></span><span class="track">{ticks}</span></div>']
    for entry in entries:
        bicubic, rdn = (percent(x) for x in entry.psnr or (low, low))
        rows.append(
            f'<div><bdi>{_shown(entry.name)}</bdi><span class="track">'
            f'<i class="gain" style="left:{min(bicubic, rdn):.2f}%;width:{abs(rdn - bicubic):.2f}%"></i>'
            f'<i class="dot" style="left:{bicubic:.2f}%"></i><i class="full dot" style="left:{rdn:.2f}%"></i></span></div>'
        )
    joined = '\n'.join(rows)
    return (
        f'<p class="legend"><b>{_words("chart")}</b> <span><i class="dot"></i> {_words("bicubic")}</span> '
        f'<span><i class="full dot"></i> {html.escape(network)}</span></p>\n<div class="scroll" tabindex="0" role="region" '
        f'data-label="chart"><div class="chart" style="--step:{100 * step / (high - low):.3f}%">\n{joined}\n</div></div>'
    )


def _figure(number: int, entry: Entry) -> str:
    """Return a picture's name, note and thumbnail; the page's script adds the slider and loads the views."""
    note = _words('pixels', width=entry.size[0], height=entry.size[1])
    if entry.size != entry.shown:
        note += _words('middle', width=entry.shown[0], height=entry.shown[1])
    if entry.psnr and entry.ssim:
        psnr, ssim = ([_number(x, digits) for x in pair] for pair, digits in ((entry.psnr, 2), (entry.ssim, 4)))
        note += f'; PSNR {psnr[0]} → {psnr[1]} dB, SSIM {ssim[0]} → {ssim[1]}'
    if entry.link:
        note += f' · <a class="full" href="{html.escape(entry.link)}" data-text="full"></a>'
    views = [('rdn', entry.rdn), ('bicubic', entry.bicubic), ('original', entry.original)]
    data = ''.join(f' data-{kind}="{VIEWS_NAME}/{view}"' for kind, view in views if view)
    return (
        f'<figure id="p{number}" data-width="{entry.shown[0]}" data-height="{entry.shown[1]}"{data}>\n'
        f'<h2><bdi>{_shown(entry.name)}</bdi></h2>\n<p class="note">{note}</p>\n'
        f'<img class="thumbnail" src="{entry.thumbnail}" alt="">\n</figure>'
    )
