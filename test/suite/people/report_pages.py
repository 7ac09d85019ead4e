"""Pages with sliders for the tests: written from photographs, and read again."""

import html.parser

from pictures.report import report

from PIL import Image

NAMES = ['butterfly & <b>"wings"</b>', '照片/😀 50% #1?.png', 'holidays/large.jpg']
SIZES = [(300, 180), (450, 300), (1500, 1300)]


def crop(photos, index, size):
    """A part of a photograph, enlarged where it is smaller: (rough, fine), PIL RGB of `size`."""
    fine = Image.open(photos[index]).convert('RGB').crop((40, 60, 340, 240)).resize(size, Image.BICUBIC)
    return fine.resize((size[0] // 2, size[1] // 2)).resize(size, Image.BICUBIC), fine


def write(folder, photos, names=NAMES):
    """A report on pictures whose originals are known, but for the last one's; returns the page's path."""
    with report.writing(str(folder)) as page:
        for index, name in enumerate(names):
            rough, fine = crop(photos, index % 5, SIZES[index % 3])
            is_known = index < len(names) - 1
            figures = report.Figures((30.25, 35.5), (0.9, 0.95)) if is_known else None
            page.add(name, report.Views(rough, fine, fine if is_known else None), figures)
    return page.path


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


class Links(html.parser.HTMLParser):
    """found: what a page refers to; text: its pieces; data: attributes of figures, by figure."""

    def __init__(self, path):
        super().__init__()
        self.found, self.text, self.figures = [], [], []
        self.feed(read(path))

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ('src', 'href')]
        if tag == 'figure':
            self.figures.append(dict(attrs))

    def handle_data(self, data):
        self.text.append(data)


def views(path):
    """Names of the views that a page refers to, in its order: of RDN, bicubic, and the original where it is known."""
    kinds = ('data-rdn', 'data-bicubic', 'data-original')
    links = [figure[kind] for figure in Links(path).figures for kind in kinds if kind in figure]
    assert all(link.startswith('index_views/') for link in links)
    return [link[len('index_views/') :] for link in links]
