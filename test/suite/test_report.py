"""The page of report.py, in a real browser where there is one."""

import html.parser
import json
import os
import re
import shutil
import subprocess

from rdn.evaluation import metrics, report

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
NAMES = ['butterfly & <b>"wings"</b>', '照片 😀', 'large']

# Put into the page by the test: does what a person does and writes down what it sees.
PERSON = """<script>
window.wrong = [];
addEventListener('error', event => wrong.push(event.message));
addEventListener('load', () => {
  const seen = {};
  const cut = figure => getComputedStyle(figure.querySelector('img + img')).clipPath;
  const width = figure => figure.querySelector('img').getBoundingClientRect().width;
  const figures = [...document.querySelectorAll('figure')], first = figures[0];
  const slider = first.querySelector('input');
  seen.images = [...document.images].every(image => image.complete && image.naturalWidth > 0);
  seen.count = document.images.length;
  seen.start = cut(first);
  slider.value = 20; slider.dispatchEvent(new Event('input'));
  seen.moved = cut(first);
  seen.other = cut(figures[1]);
  slider.focus();
  seen.focus = document.activeElement === slider;
  const natural = first.querySelector('img').naturalWidth;
  for (const key of ['+', '+']) slider.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
  seen.keys = width(first) / natural;
  first.querySelector('.out').click();
  seen.out = width(first) / natural;
  first.querySelector('.out').click();
  seen.fit = width(first) <= document.documentElement.clientWidth;
  const box = first.querySelector('.stack').getBoundingClientRect();
  first.querySelector('.stack').dispatchEvent(new PointerEvent('pointerdown',
    {pointerType: 'mouse', buttons: 1, clientX: box.left + box.width * 0.75, clientY: box.top + 5}));
  seen.dragged = slider.value;
  const select = first.querySelector('select');
  const before = first.querySelector('img + img').src;
  select.value = 'original'; select.dispatchEvent(new Event('change'));
  seen.original = first.querySelector('img + img').src !== before;
  select.value = 'bicubic'; select.dispatchEvent(new Event('change'));
  seen.back = first.querySelector('img + img').src === before;
  seen.narrow = document.documentElement.scrollWidth <= document.documentElement.clientWidth;
  seen.requests = performance.getEntriesByType('resource').filter(entry => !entry.name.startsWith('data:')).length;
  seen.wrong = wrong;
  document.body.innerHTML = '<pre></pre>';
  document.querySelector('pre').textContent = 'SE' + 'EN ' + JSON.stringify(seen);
});
</script>"""


@pytest.fixture
def page(tmp_path, photos):
    """Path of a report on three pictures: of two the original is known, one is large."""
    entries = []
    for name, path in zip(NAMES[:2], photos):
        original = Image.open(path).convert('RGB').crop((0, 0, 200, 120))
        rough = original.resize((100, 60)).resize((200, 120))
        entries.append(report.make_entry(name, rough, original, original, psnr=(30.25, 35.5), ssim=(0.9, 0.95)))
    large = Image.open(photos[0]).convert('RGB').resize((1500, 1300))
    entries.append(report.make_entry(NAMES[2], large, large))
    return report.write_report(str(tmp_path / 'out'), entries)


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ('src', 'href', 'data-original')]

    def handle_data(self, data):
        self.text.append(data)


def test_page_is_one_file_that_refers_to_nothing_outside(page):
    links = Links()
    links.feed(read(page))
    assert len(links.found) == 2 * 3 + 2 and all(link.startswith('data:image/') for link in links.found)
    assert os.listdir(os.path.dirname(page)) == ['index.html']
    assert 'url(' not in read(page) and '@import' not in read(page)


def test_names_are_text_and_figures_are_shown(page):
    links = Links()
    links.feed(read(page))
    for name in NAMES:
        assert name in links.text
    text = ' '.join(links.text)
    assert 'PSNR 30.25 → 35.50 dB, SSIM 0.9000 → 0.9500' in text and '1500 × 1300 pixels, here the middle' in text
    assert 'bicubic 30.25 dB, RDN 35.50 dB' in text


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason='no Chromium: apt install chromium')
@pytest.mark.parametrize('width', [1280, 390])
def test_page_works_in_a_browser(page, tmp_path, width):
    trial = tmp_path / 'trial.html'
    trial.write_text(read(page).replace('<h1>', PERSON + '<h1>', 1), encoding='utf-8')
    command = [CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
               f"--user-data-dir={tmp_path / 'profile'}", f'--window-size={width},800',
               '--enable-logging=stderr', '--virtual-time-budget=10000', '--dump-dom', trial.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120)
    match = re.search(r'<pre>SEEN (.*?)</pre>', done.stdout.decode('utf-8'), re.DOTALL)
    assert match, done.stderr.decode('utf-8', 'replace')[-2000:]
    seen = json.loads(html.unescape(match.group(1)))
    assert seen['wrong'] == [] and b'CONSOLE' not in done.stderr
    assert seen['images'] and seen['count'] == 6 and seen['requests'] == 0
    assert '50%' in seen['start'] and '80%' in seen['moved'] and seen['other'] == seen['start']
    assert seen['focus'] and seen['keys'] == 2 and seen['out'] == 1 and seen['fit'] and seen['narrow']
    assert abs(float(seen['dragged']) - 75) <= 0.5 and seen['original'] and seen['back']


def test_ssim_is_that_of_the_paper_on_luma(prepared):
    hr = prepared[1]['coffee']
    sr = np.clip(hr + np.random.RandomState(0).normal(0, 0.03, hr.shape), 0, 1).astype(np.float32)
    a, b = (16 + np.tensordot([64.738, 129.057, 25.064], x[:, 2:-2, 2:-2] * 255.0, 1) / 256 for x in (sr, hr))
    window = {'gaussian_weights': True, 'sigma': 1.5, 'use_sample_covariance': False}
    assert abs(metrics.sr_ssim(sr, hr, 2) - structural_similarity(a, b, data_range=255, **window)) < 1e-6
    assert metrics.sr_ssim(hr, hr, 2) == pytest.approx(1)
    assert np.isnan(metrics.sr_ssim(hr[:, :12, :12], hr[:, :12, :12], 2))
