"""What RDN_preprocess.py wrote, and how: kept beside it, so that no later step counts something else.

manifest.json holds the flags and the SHA-256 of each file in data/ and label/. The guide's tools do not know it; where
it is not there, nothing is checked.
"""

import hashlib
import json
import os

from rdn import cpu, files

NAME = 'manifest.json'
NEXT = (
    'manifest.next.json'  # of files that are taking the place of others just now, or were when the process was killed
)


def digest(path):
    """The SHA-256 of a file, in hexadecimal digits."""
    total = hashlib.sha256()
    with open(path, 'rb') as file:
        for part in iter(lambda: file.read(1 << 20), b''):
            total.update(part)
    return total.hexdigest()


def write(folder, flags, digests):
    """Write the manifest of a folder, to be in force from `commit` on. digests: 'data/x.bin' -> SHA-256."""
    content = {'flags': flags, 'sha256': digests}
    files.write_text(os.path.join(folder, NEXT), json.dumps(content, indent=1, sort_keys=True) + '\n')


def commit(folder):
    """Put the manifest that `write` wrote into force: the files that it lists are in their places."""
    os.replace(os.path.join(folder, NEXT), os.path.join(folder, NAME))


def names(folder):
    """The files in data/ and label/ that an earlier run wrote, or was writing: a set of 'data/x.bin'."""
    found = set()
    for name in (NAME, NEXT):
        try:
            found.update(read(os.path.join(folder, 'data'), name)[1] or [])
        except ValueError:  # not ours
            pass
    return found


def read(folder, name=NAME):
    """(flags, digests) of the manifest beside a data/ or label/ folder; ({}, None) where there is none.

    Raises ValueError, with the file's name, for a file that is no manifest.
    """
    path = os.path.join(os.path.dirname(os.path.abspath(folder)), name)
    if not os.path.exists(path):
        return {}, None
    files.check_size(path, 1 << 28)
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        flags, digests = content['flags'], content['sha256']
        if not isinstance(flags, dict) or not all(isinstance(value, str) for value in digests.values()):
            raise ValueError('of another form')
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError('%s: no manifest of RDN_preprocess.py (%s): prepare again' % (path, error))
    return flags, digests


def check(paths):
    """Raises ValueError, with the file's name, for a file in data/ or label/ that is not as its manifest says."""

    def check_one(item):
        path, wanted, place = item
        if wanted is None:
            raise ValueError('%s: not of the images that %s lists: remove it, or prepare again' % (path, place))
        if digest(path) != wanted:
            raise ValueError('%s: changed since it was prepared, says %s: prepare again' % (path, place))

    known, items = {}, []
    for path in paths:
        folder, name = os.path.split(os.path.abspath(path))
        if folder not in known:
            known[folder] = read(folder)[1]
        if known[folder] is not None:
            key = '%s/%s' % (os.path.basename(folder), name)
            items.append((path, known[folder].get(key), os.path.join(os.path.dirname(folder), NAME)))
    for _ in cpu.in_order(check_one, items):
        pass


def check_complete(folder, names):
    """The same, and for a file that the manifest lists and that is not among the `names` in the folder."""
    digests = read(folder)[1] or {}
    part = os.path.basename(os.path.abspath(folder)) + '/'
    missing = sorted(key for key in digests if key.startswith(part) and key[len(part) :] not in names)
    if missing:
        raise ValueError('%s: %s is missing, of those prepared: prepare again' % (folder, missing[0][len(part) :]))
    check([os.path.join(folder, name) for name in names])
