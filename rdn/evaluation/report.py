"""A page to look at: one self-contained index.html with a before/after slider for each picture.

It needs no network and no server; all pictures are inside it.
"""

from __future__ import annotations

import base64
import html
import io
import os
import string
from typing import NamedTuple, Sequence

from rdn import files

import numpy as np
from PIL import Image

SHOWN_SIDE_PIXELS = 1200  # of a larger picture the page shows the middle
MAX_PNG_PIXELS = 600 * 600  # larger pictures are put in as WebP of WEBP_QUALITY
WEBP_QUALITY = 95


class Entry(NamedTuple):
    """A picture on the page. name: its title; size: (width, height) of the upscaled picture, pixels.

    bicubic, rdn, original: data URIs; psnr (dB), ssim: (of bicubic, of RDN). The last three are None where the original
    is not known.
    """

    name: str
    size: tuple[int, int]
    bicubic: str
    rdn: str
    original: str | None
    psnr: tuple[float, float] | None
    ssim: tuple[float, float] | None


def make_entry(
    name: str,
    bicubic: Image.Image,
    rdn: Image.Image,
    original: Image.Image | None = None,
    psnr: tuple[float, float] | None = None,
    ssim: tuple[float, float] | None = None,
    size: tuple[int, int] | None = None,
) -> Entry:
    """An Entry from PIL RGB images of one size; size: of the picture, where they are only its middle."""
    original_uri = _data_uri(_middle(original)) if original else None
    bicubic_uri, rdn_uri = (_data_uri(_middle(image)) for image in (bicubic, rdn))
    return Entry(name, size or rdn.size, bicubic_uri, rdn_uri, original_uri, psnr, ssim)


def write_report(folder: str, entries: Sequence[Entry]) -> str:
    """Write index.html into the folder; return its path."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'report.html'), encoding='utf-8') as file:
        page = string.Template(file.read())
    known = [entry for entry in entries if entry.psnr]
    pictures = '1 picture' if len(entries) == 1 else f'{len(entries)} pictures'
    summary = f'{pictures}, enlarged by bicubic interpolation (left) and by RDN (right).'
    if known:
        bicubic, rdn = _average(known, 'psnr')
        summary += f' Average PSNR on luma: bicubic {bicubic:.2f} dB, RDN {rdn:.2f} dB.'
    path = os.path.join(folder, 'index.html')
    text = page.substitute(
        summary=summary,
        chart=_chart(known) if known else '',
        table=_table(known) if known else '',
        pictures='\n'.join(_figure(entry) for entry in entries),
    )
    files.write_text(path, text)
    return path


def _average(entries: Sequence[Entry], figure: str) -> tuple[float, float]:
    bicubic, rdn = np.mean([getattr(entry, figure) for entry in entries], 0)
    return bicubic, rdn


def _middle(image: Image.Image) -> Image.Image:
    left, top = (max(0, side - SHOWN_SIDE_PIXELS) // 2 for side in image.size)
    right, bottom = (min(side, SHOWN_SIDE_PIXELS + start) for side, start in zip(image.size, (left, top)))
    return image.crop((left, top, right, bottom))


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    kind = 'png' if image.width * image.height <= MAX_PNG_PIXELS else 'webp'
    image.save(buffer, kind, quality=WEBP_QUALITY)
    return f'data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}'


def _table(entries: Sequence[Entry]) -> str:
    def row(name: str, psnr: Sequence[float], ssim: Sequence[float]) -> str:
        return (
            f'<tr><td>{html.escape(name)}<td>{psnr[0]:.2f}<td>{psnr[1]:.2f}<td>{psnr[1] - psnr[0]:+.2f}'
            f'<td>{ssim[0]:.4f}<td>{ssim[1]:.4f}'
        )

    rows = ['<tr><th>picture<th>PSNR bicubic<th>RDN<th>gain<th>SSIM bicubic<th>RDN']
    rows += [row(entry.name, entry.psnr or (), entry.ssim or ()) for entry in entries]
    rows.append(row('average', _average(entries, 'psnr'), _average(entries, 'ssim')))
    joined = '\n'.join(rows)
    return f'<div class="wide"><table>\n{joined}\n</table></div>'


def _chart(entries: Sequence[Entry]) -> str:
    """PSNR a picture as SVG: a hollow dot for bicubic, a full one for RDN, joined by a line."""
    finite = [x for entry in entries for x in entry.psnr or () if np.isfinite(x)] or [0]
    low, high = int(np.floor(min(finite))) - 1, int(np.ceil(max(finite))) + 1
    left, width, line = 220, 1000, 26

    def x(psnr: float) -> float:
        return left + (min(max(psnr, low), high) - low) / (high - low) * (width - left - 20)

    height = line * len(entries) + 40
    parts = [
        f'<div class="wide"><svg viewBox="0 0 {width} {height}" role="img" aria-label="PSNR of each picture in dB">'
    ]
    for tick in range(low, high + 1, max(1, (high - low) // 8)):
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="8" y2="{height - 28}" stroke="#8884"/>'
            f'<text x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle">{tick} dB</text>'
        )
    for index, entry in enumerate(entries):
        y = 20 + line * index
        bicubic, rdn = entry.psnr or (0, 0)
        name = entry.name if len(entry.name) <= 28 else '…' + entry.name[-27:]
        parts.append(
            f'<g><title>{html.escape(name)}: bicubic {bicubic:.2f} dB, RDN {rdn:.2f} dB</title>'
            f'<text x="{left - 14}" y="{y + 5}" text-anchor="end">{html.escape(name)}</text>'
            f'<line x1="{x(bicubic):.1f}" x2="{x(rdn):.1f}" y1="{y}" y2="{y}" stroke="var(--accent)" stroke-width="2"/>'
            f'<circle cx="{x(bicubic):.1f}" cy="{y}" r="5" fill="Canvas" stroke="var(--accent)" stroke-width="2"/>'
            f'<circle cx="{x(rdn):.1f}" cy="{y}" r="6" fill="var(--accent)"/></g>'
        )  # fmt: skip
    return '\n'.join(parts + ['</svg></div>'])


def _figure(entry: Entry) -> str:
    name = html.escape(entry.name)
    note = f'{entry.size[0]} × {entry.size[1]} pixels'
    if max(entry.size) > SHOWN_SIDE_PIXELS:
        note += ', here the middle'
    if entry.psnr and entry.ssim:
        note += f'; PSNR {entry.psnr[0]:.2f} → {entry.psnr[1]:.2f} dB, SSIM {entry.ssim[0]:.4f} → {entry.ssim[1]:.4f}'
    choice = original = ''
    if entry.original:
        choice = '<label>left <select><option>bicubic<option>original</select></label>'
        original = f' data-original="{entry.original}"'
    return (
        f'<figure style="margin:0"{original}><h2>{name}</h2><p class="note">{note}</p>\n'
        '<div class="view"><div class="stack fit" style="--cut:50%">\n'
        f'<img src="{entry.rdn}" alt="RDN">\n<img src="{entry.bicubic}" alt="bicubic">\n</div></div>\n'
        '<div class="controls"><input type="range" min="0" max="100" step="0.5" value="50" '
        f'aria-label="{name}: bicubic left of here, RDN right of it">{choice}'
        '<span><button class="out" aria-label="smaller">−</button> <output>fit</output> '
        '<button class="in" aria-label="larger">+</button></span></div></figure>'
    )
