"""A page to look at: one self-contained index.html with a before/after slider for each picture.

It needs no network and no server; all pictures are inside it.
"""

import base64
import collections
import html
import io
import os
import string

from rdn import files

import numpy as np

SIDE = 1200  # pixels of a picture's side that the page shows; of a larger one its middle
LOSSLESS = 600 * 600  # pixels up to which a picture is put in as PNG, above as WebP of high quality

Entry = collections.namedtuple('Entry', 'name size bicubic rdn original psnr ssim')
Entry.__doc__ = """A picture on the page. name: its title; size: (width, height) of the enlarged picture.

bicubic, rdn, original: data URIs, the last None where the original is not known; psnr (dB), ssim:
(of bicubic, of RDN), None where it is not.
"""


def make_entry(name, bicubic, rdn, original=None, psnr=None, ssim=None, size=None):
    """An Entry from PIL RGB images of one size; size: of the picture, where they are only its middle."""
    bicubic_uri, rdn_uri, original_uri = [image and _data_uri(_middle(image)) for image in (bicubic, rdn, original)]
    return Entry(name, size or rdn.size, bicubic_uri, rdn_uri, original_uri, psnr, ssim)


def write_report(folder, entries):
    """Write index.html into the folder; return its path."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'report.html'), encoding='utf-8') as file:
        page = string.Template(file.read())
    known = [entry for entry in entries if entry.psnr]
    summary = '%d picture%s, enlarged by bicubic interpolation (left) and by RDN (right).' % (
        len(entries),
        '' if len(entries) == 1 else 's',
    )
    if known:
        summary += ' Average PSNR on luma: bicubic %.2f dB, RDN %.2f dB.' % tuple(_average(known, 'psnr'))
    path = os.path.join(folder, 'index.html')
    with files.replacing(path) as file:
        text = page.substitute(
            summary=summary,
            chart=_chart(known) if known else '',
            table=_table(known) if known else '',
            pictures='\n'.join(_figure(entry) for entry in entries),
        )
        file.write(text.encode('utf-8', 'surrogateescape'))
    return path


def _average(entries, figure):
    return np.mean([getattr(entry, figure) for entry in entries], 0)


def _middle(image):
    left, top = (max(0, side - SIDE) // 2 for side in image.size)
    return image.crop((left, top, min(image.width, left + SIDE), min(image.height, top + SIDE)))


def _data_uri(image):
    buffer = io.BytesIO()
    if image.width * image.height <= LOSSLESS:
        image.save(buffer, 'PNG')
    else:
        image.save(buffer, 'WEBP', quality=95)
    kind = 'png' if image.width * image.height <= LOSSLESS else 'webp'
    return 'data:image/%s;base64,%s' % (kind, base64.b64encode(buffer.getvalue()).decode())


def _table(entries):
    def row(name, psnr, ssim):
        return '<tr><td>%s<td>%.2f<td>%.2f<td>%+.2f<td>%.4f<td>%.4f' % (
            (html.escape(name),) + tuple(psnr) + (psnr[1] - psnr[0],) + tuple(ssim)
        )

    rows = [row(entry.name, entry.psnr, entry.ssim) for entry in entries]
    rows.append(row('average', _average(entries, 'psnr'), _average(entries, 'ssim')))
    head = '<tr><th>picture<th>PSNR bicubic<th>RDN<th>gain<th>SSIM bicubic<th>RDN'
    return '<div class="wide"><table>\n%s\n%s\n</table></div>' % (head, '\n'.join(rows))


def _chart(entries):
    """PSNR a picture as SVG: a hollow dot for bicubic, a full one for RDN, joined by a line."""
    finite = [x for entry in entries for x in entry.psnr if np.isfinite(x)] or [0]
    low, high = int(np.floor(min(finite))) - 1, int(np.ceil(max(finite))) + 1
    left, width, line = 220, 1000, 26

    def x(psnr):
        return left + (min(max(psnr, low), high) - low) / (high - low) * (width - left - 20)

    height = line * len(entries) + 40
    parts = [
        '<div class="wide"><svg viewBox="0 0 %d %d" role="img" aria-label="PSNR of each picture in dB">'
        % (width, height)
    ]
    for tick in range(low, high + 1, max(1, (high - low) // 8)):
        parts.append(
            '<line x1="{0:.1f}" x2="{0:.1f}" y1="8" y2="{1}" stroke="#8884"/>'
            '<text x="{0:.1f}" y="{2}" text-anchor="middle">{3} dB</text>'.format(
                x(tick), height - 28, height - 8, tick
            )
        )
    for index, entry in enumerate(entries):
        y = 20 + line * index
        name = entry.name if len(entry.name) <= 28 else '…' + entry.name[-27:]
        parts.append(
            f'<g><title>{html.escape(name)}: bicubic {entry.psnr[0]:.2f} dB, RDN {entry.psnr[1]:.2f} dB</title>'
            f'<text x="{left - 14}" y="{y + 5}" text-anchor="end">{html.escape(name)}</text>'
            f'<line x1="{x(entry.psnr[0]):.1f}" x2="{x(entry.psnr[1]):.1f}" y1="{y}" y2="{y}" stroke="var(--accent)" stroke-width="2"/>'
            f'<circle cx="{x(entry.psnr[0]):.1f}" cy="{y}" r="5" fill="Canvas" stroke="var(--accent)" stroke-width="2"/>'
            f'<circle cx="{x(entry.psnr[1]):.1f}" cy="{y}" r="6" fill="var(--accent)"/></g>'
        )  # fmt: skip
    return '\n'.join(parts + ['</svg></div>'])


def _figure(entry):
    name = html.escape(entry.name)
    note = '%d × %d pixels' % entry.size
    if max(entry.size) > SIDE:
        note += ', here the middle'
    if entry.psnr:
        note += '; PSNR %.2f → %.2f dB, SSIM %.4f → %.4f' % (tuple(entry.psnr) + tuple(entry.ssim))
    choice = original = ''
    if entry.original:
        choice = '<label>left <select><option>bicubic<option>original</select></label>'
        original = ' data-original="%s"' % entry.original
    return (
        f'<figure style="margin:0"{original}><h2>{name}</h2><p class="note">{note}</p>\n'
        '<div class="view"><div class="stack fit" style="--cut:50%">\n'
        f'<img src="{entry.rdn}" alt="RDN">\n<img src="{entry.bicubic}" alt="bicubic">\n</div></div>\n'
        '<div class="controls"><input type="range" min="0" max="100" step="0.5" value="50" '
        f'aria-label="{name}: bicubic left of here, RDN right of it">{choice}'
        '<span><button class="out" aria-label="smaller">−</button> <output>fit</output> '
        '<button class="in" aria-label="larger">+</button></span></div></figure>'
    )
