"""Find, change and remove the properties of an XMP packet (ISO 16684-1).

A packet without changes keeps its bytes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Iterator
from xml.dom import Node, minidom
from xml.parsers import expat
from xml.sax import saxutils

RDF = 'http://www.w3.org/1999/02/22-rdf-syntax-ns#'
NOTE = 'http://ns.adobe.com/xmp/note/'
DIGEST = 'HasExtendedXMP'  # property of NOTE: the MD5 of the extension
MAX_BYTES, MAX_ELEMENTS = 1 << 26, 100_000
MAX_DEPTH = 100
# A packet that only refers to its extension.
EXTENDED = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" xmlns:xmpNote="{NOTE}" xmpNote:{DIGEST}="{{digest}}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


class Property:
    """A property of a packet, in either of its forms: an attribute or an element.

    Args:
        packet: the packet that contains it.
        node: the attribute or element.
        owner: the element that contains the node.
    """

    def __init__(self, packet: Packet, node: Any, owner: Any):
        self._packet, self._node, self._owner = packet, node, owner

    @property
    def is_simple(self) -> bool:
        """Whether its value is a text, not a structure."""
        return self._node.nodeType == Node.ATTRIBUTE_NODE or not _elements_in(self._node)

    @property
    def text(self) -> str:
        """Its text without surrounding white space; empty for a structure."""
        if self._node.nodeType == Node.ATTRIBUTE_NODE:
            return self._node.value.strip()
        return _text_of(self._node) if self.is_simple else ''

    def number(self) -> float | None:
        """Return its text as a number, which may be written as a ratio; None if it is not a number below 1e15."""
        above, _, below = self.text.partition('/')
        try:
            value = float(above) / float(below or 1)
        except (ValueError, ZeroDivisionError, OverflowError):
            return None
        return value if abs(value) < 1e15 else None

    def put(self, text: str) -> None:
        """Replace its text."""
        self._packet.is_changed = True
        if self._node.nodeType == Node.ATTRIBUTE_NODE:
            self._node.value = text
            return
        for child in list(self._node.childNodes):
            self._node.removeChild(child)
        self._node.appendChild(self._packet.document.createTextNode(text))

    def remove(self) -> None:
        """Remove it from the packet, if it is still there."""
        self._packet.is_changed = True
        if self._node.nodeType == Node.ATTRIBUTE_NODE:
            if self._owner.hasAttributeNS(self._node.namespaceURI, self._node.localName):
                self._owner.removeAttributeNode(self._node)
        elif self._node.parentNode is not None:
            self._node.parentNode.removeChild(self._node)

    def fields(self) -> dict[str, Property]:
        """Return the fields of a structure by their names without prefix."""
        if self._node.nodeType == Node.ATTRIBUTE_NODE:
            return {}
        inner = [child for child in _elements_in(self._node) if child.localName == 'Description']
        holders = [self._node, *(child for child in inner if child.namespaceURI == RDF)]
        return {
            name: found
            for holder in holders
            for space, name, found in _properties_of(self._packet, holder)
            if space != RDF
        }

    def items(self) -> list[Property]:
        """Return the items of a list."""
        return [] if self._node.nodeType == Node.ATTRIBUTE_NODE else self._below(RDF, 'li')

    def find(self, space: str, name: str) -> list[Property]:
        """Return all properties of this namespace and name below it."""
        return [] if self._node.nodeType == Node.ATTRIBUTE_NODE else self._below(space, name)

    def _below(self, space: str, name: str) -> list[Property]:
        found = self._node.getElementsByTagNameNS(space, name)
        return [Property(self._packet, node, node.parentNode) for node in found]


class Packet:
    """A parsed packet.

    Args:
        data: the packet in UTF-8 or UTF-16.

    Attributes:
        is_changed: whether a property was added, changed or removed.
        document: the packet as a document of minidom.

    Raises:
        ValueError: the packet is damaged or too large.
    """

    def __init__(self, data: bytes):
        self._data, self.is_changed = data, False
        text = _decoded(data)
        if '<!DOCTYPE' in text or '<!ENTITY' in text or _depth(text) > MAX_DEPTH:
            raise ValueError('its XMP is damaged')
        try:
            self.document: Any = minidom.parseString(text.encode('utf-8'))
        except (expat.ExpatError, ValueError, AttributeError):
            raise ValueError('its XMP is damaged')

        self._properties: list[tuple[str, str, Property]] = []

    def properties(self) -> list[tuple[str, str, Property]]:
        """Return (namespace, name, Property) of all properties and fields, at any depth, including removed ones."""
        if not self._properties:
            elements = self.document.getElementsByTagName('*')
            self._properties = [each for element in elements for each in _properties_of(self, element)]
        return self._properties

    def find(self, space: str, name: str) -> list[Property]:
        """Return all properties of this namespace and name, at any depth."""
        return [found for a, b, found in self.properties() if b == name and a == space]

    def merge(self, other: Packet) -> None:
        """Add the properties of another packet.

        Raises:
            ValueError: one of the two packets has no properties.
        """
        own = self.document.getElementsByTagNameNS(RDF, 'RDF')
        theirs = other.document.getElementsByTagNameNS(RDF, 'RDF')
        if not own or not theirs:
            raise ValueError('its XMP is damaged')
        for element in _elements_in(theirs[0]):
            own[0].appendChild(self.document.importNode(element, True))
        self.is_changed, self._properties = True, []

    def serialise(self) -> bytes:
        """Return the packet as bytes: the old ones if nothing changed, else UTF-8."""
        if not self.is_changed:
            return self._data
        parts: list[str] = []
        for node in self.document.childNodes:
            _write(node, parts)
        return ''.join(parts).encode('utf-8', 'replace')


def without_extension(data: bytes, extensions: dict[str, bytes], notes: list[str]) -> bytes:
    """Merge a JPEG's XMP packet with its extension (ISO 16684-3, 1.1.3.1).

    Args:
        data: the packet.
        extensions: the complete extensions in the file, by their digests.
        notes: a note is added if the extension is missing or damaged.

    Returns:
        A packet that refers to no extension; a damaged packet is returned unchanged.
    """
    if DIGEST.encode() not in data:
        return data
    try:
        packet = Packet(data)
    except ValueError:  # whoever changes the packet for the result notes it
        return data
    try:
        claims = packet.find(NOTE, DIGEST)
        digests = {claim.text for claim in claims}
        for claim in claims:
            claim.remove()
        for digest in digests:
            if digest not in extensions:
                raise ValueError
            packet.merge(Packet(extensions[digest]))
    except ValueError:
        notes.append('without the extension of its XMP, which is missing or damaged')
    return packet.serialise()


def split(data: bytes) -> tuple[bytes, str, bytes]:
    """Split a packet that is too large for one segment of JPEG (ISO 16684-3, 1.1.3.1).

    Args:
        data: the packet.

    Returns:
        (a small packet that refers to the extension, the extension's digest, the extension).
    """
    found = re.search(rb'<rdf:RDF.*</rdf:RDF>', data, re.DOTALL)
    extension = found.group() if found else data
    digest = hashlib.md5(extension).hexdigest().upper()  # the standard demands MD5; it only names the extension
    return EXTENDED.format(digest=digest).encode('utf-8'), digest, extension


def _decoded(data: bytes) -> str:
    data = data.strip(b'\0 \t\r\n') if data[:2] not in (b'\xff\xfe', b'\xfe\xff') else data
    if len(data) > MAX_BYTES or data.count(b'<') > 2 * MAX_ELEMENTS:
        raise ValueError('its XMP is too large')
    encoding = 'utf-16' if data[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig'
    try:
        return data.decode(encoding).strip('\0 \t\r\n')
    except UnicodeDecodeError:
        raise ValueError('its XMP is damaged')


def _depth(text: str) -> int:
    """Return how deep elements are nested, without parsing them."""
    depth = deepest = 0
    for match in re.finditer(r'<(/?)[^<>!?/][^<>]*?(/?)>', text):
        depth += -1 if match.group(1) else 0 if match.group(2) else 1
        deepest = max(deepest, depth)
    return deepest


def _elements_in(node: Any) -> list[Any]:
    return [child for child in node.childNodes if child.nodeType == Node.ELEMENT_NODE]


def _text_of(element: Any) -> str:
    texts = (Node.TEXT_NODE, Node.CDATA_SECTION_NODE)
    return ''.join(child.data for child in element.childNodes if child.nodeType in texts).strip()


def _properties_of(packet: Packet, element: Any) -> Iterator[tuple[str, str, Property]]:
    for attribute in list((element.attributes or {}).values()):
        yield attribute.namespaceURI or '', attribute.localName or attribute.name, Property(packet, attribute, element)
    for child in _elements_in(element):
        yield child.namespaceURI or '', child.localName, Property(packet, child, element)


def _write(node: Any, parts: list[str]) -> None:
    """Append a node's XML to the parts; before Python 3.13 minidom's own writer loses line breaks in attributes."""
    if node.nodeType != Node.ELEMENT_NODE:
        is_text = node.nodeType == Node.TEXT_NODE
        parts.append(saxutils.escape(node.data, {'\r': '&#13;'}) if is_text else node.toxml())
        return
    attributes = ''.join(f' {name}={saxutils.quoteattr(value)}' for name, value in node.attributes.items())
    if not node.childNodes:
        parts.append(f'<{node.tagName}{attributes}/>')
        return
    parts.append(f'<{node.tagName}{attributes}>')
    for child in node.childNodes:
        _write(child, parts)
    parts.append(f'</{node.tagName}>')
