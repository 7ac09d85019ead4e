"""Reports for the tests: written from photographs, and read again."""

import html.parser

from pictures.report import report

from PIL import Image

NAMES = ['butterfly & <b>"wings"</b>', '照片/😀 50% #1?.png', 'holidays/large.jpg']
SIZES = [(300, 180), (450, 300), (1500, 1300)]


def crop(photos, index, size):
    """Return a part of a photograph in the given size, as Pillow RGB images (rough, fine)."""
    fine = Image.open(photos[index]).convert('RGB').crop((40, 60, 340, 240)).resize(size, Image.BICUBIC)
    return fine.resize((size[0] // 2, size[1] // 2)).resize(size, Image.BICUBIC), fine


def write(folder, photos, names=NAMES):
    """Write a report on pictures, all but the last with an original, and return the page's path."""
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
    """The content of a page.

    Attributes:
        found: all links, and the sources of all images.
        text: the pieces of text.
        figures: the attributes of each figure.
    """

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
    """Return the names of a page's views in order: for each picture RDN, bicubic, and the original if it is known."""
    kinds = ('data-rdn', 'data-bicubic', 'data-original')
    links = [figure[kind] for figure in Links(path).figures for kind in kinds if kind in figure]
    assert all(link.startswith('index_views/') for link in links)
    return [link[len('index_views/') :] for link in links]
