"""Changes the list `white_list_shape` in the source of the toolkit's transpose.py, and nothing else in that file.

All functions work on the file's bytes, so its encoding, byte order mark and line ends stay unchanged.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
import warnings
from typing import Iterator, List, Tuple

Shape = List[int]
Position = Tuple[int, int]  # line from 1, byte in the UTF-8 line

FUNCTION, LIST, CHECK = '_by_dynamic_static_union_version', 'white_list_shape', 'check_supported'


class WhiteListError(ValueError):
    """The source cannot be read as Python, or does not contain exactly one plain list of this name."""


def shapes_of(source: bytes) -> list[Shape]:
    """Return the shapes in the list.

    Raises:
        WhiteListError: the source or the list cannot be read.
    """
    return ast.literal_eval(_find_list(_parse(source)))


def add_shapes(source: bytes, shapes: list[Shape]) -> bytes:
    """Append shapes to the list, in the list's own layout, and return the new source.

    Raises:
        WhiteListError: the source or the list cannot be read, or anything except the list would change.
    """
    before = shapes_of(source)
    patched = source
    for shape in shapes:  # one by one, so that patching twice and patching once with both return the same bytes
        patched = _add_shape(patched, shape)
    tree, old_tree = _parse(patched), _parse(source)
    after = _find_list(tree)
    if ast.literal_eval(after) != before + shapes:
        raise WhiteListError(f'{LIST} could not be extended safely: add {shapes} by hand')
    after.elts = _find_list(old_tree).elts
    if ast.dump(tree) != ast.dump(old_tree):
        raise WhiteListError(f'{LIST} could not be extended without other changes: add {shapes} by hand')
    return patched


def takes_any_shape(source: bytes) -> bool:
    """Return whether the toolkit uses the fast operator for every shape, so that the list has no effect.

    This is the case if the function CHECK ends with `return True`. Until 2021-12 it ended with `return False`. It
    returns a bool, or since 2021-05 a tuple (bool, reason).

    Raises:
        WhiteListError: the source is not Python.
    """
    checks = [node for node in _parse(source).body if isinstance(node, ast.FunctionDef) and node.name == CHECK]
    last = checks[-1].body[-1] if checks else None
    try:
        value = ast.literal_eval(last.value) if isinstance(last, ast.Return) and last.value else False
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):  # ast's errors if it is not a literal
        return False
    return (value[0] if isinstance(value, tuple) and value else value) is True


def is_patched(source: bytes, original: bytes) -> bool:
    """Return whether add_shapes makes `source` from `original`, with any number of shapes."""
    try:
        return add_shapes(original, shapes_of(source)[len(shapes_of(original)) :]) == source
    except WhiteListError:
        return False


def decode(source: bytes) -> str:
    """Decode the source according to its byte order mark or coding line.

    Raises:
        WhiteListError: the source cannot be decoded, or encoding the text would not restore the same bytes.
    """
    try:
        text = source.decode(_encoding(source))
        if text.encode(_encoding(source)) != source:
            raise WhiteListError(f'cannot be encoded in {_encoding(source)} again with the same bytes')
        return text
    except (UnicodeError, LookupError) as error:
        raise WhiteListError(f'cannot be decoded: {error}')


def _encoding(source: bytes) -> str:
    try:
        return tokenize.detect_encoding(io.BytesIO(source).readline)[0]
    except (SyntaxError, LookupError) as error:
        raise WhiteListError(f'cannot be decoded: {error}')


def _parse(source: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # some of the vendor's strings contain '\ '
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise WhiteListError(f'cannot be read as Python {sys.version_info[0]}.{sys.version_info[1]}: {error}')


def _find_list(tree: ast.Module) -> ast.List:
    """Return the node of the list literal that FUNCTION itself, not a function inside it, assigns to LIST."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == FUNCTION]
    lists: list[ast.expr] = [
        node.value
        for function in functions
        for node in _own_nodes(function)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == LIST for target in node.targets)
    ]
    if len(lists) != 1:
        raise WhiteListError(f'{len(lists) or "no"} {LIST} in {FUNCTION}: is it the transpose.py of the toolkit?')
    try:
        shapes = ast.literal_eval(lists[0])
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):  # ast's errors if it is not a literal
        raise WhiteListError(f'{LIST} is not a plain list of shapes')
    node = lists[0]
    if not isinstance(node, ast.List) or not all(
        isinstance(shape, list) and all(isinstance(dim, int) for dim in shape) for shape in shapes
    ):
        raise WhiteListError(f'{LIST} is not a plain list of shapes')
    return node


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of the functions and classes inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def _add_shape(source: bytes, shape: Shape) -> bytes:
    encoding = _encoding(source)
    text = decode(source)
    # ast counts lines in UTF-8 that end with \n, \r\n or \r.
    lines = text.encode('utf-8').splitlines(True)
    node = _find_list(_parse(source))
    last, comma, closing = _ends([line.decode('utf-8') for line in lines], (node.lineno, node.col_offset))

    after_last = comma or last
    if last and after_last and closing[0] > after_last[0] and not lines[closing[0] - 1][: closing[1]].strip():
        # The closing bracket has its own line, so the shape also gets its own line.
        example, before = lines[last[0] - 1], lines[closing[0] - 2]
        indent = example[: len(example) - len(example.lstrip())]
        if last[0] == node.lineno:
            indent += b'    '
        end = before[len(before.rstrip(b'\r\n')) :]
        lines.insert(closing[0] - 1, indent + str(shape).encode() + (b',' if comma else b'') + end)
        if not comma:
            _insert(lines, last, b',')
    elif after_last:
        _insert(lines, after_last, (b' ' if comma else b', ') + str(shape).encode() + (b',' if comma else b''))
    else:
        _insert(lines, closing, str(shape).encode())
    return b''.join(lines).decode('utf-8').encode(encoding)


def _ends(lines: list[str], start: Position) -> tuple[Position | None, Position | None, Position]:
    """Find three positions in the list that starts at `start`. ast does not know the end of a node before Python 3.8.

    Returns:
        The end of the last element, or None in an empty list; the end of the comma after it, or None if there is none;
        and the position of the closing bracket.
    """

    def position(row: int, column: int) -> Position:
        return row, len(lines[row - 1][:column].encode('utf-8'))

    depth, last, comma = 0, None, None
    try:
        for token in tokenize.generate_tokens(iter(lines + ['']).__next__):
            if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER) or position(*token.start) < start:
                continue
            if token.string == ']':
                depth -= 1
                if not depth:
                    return last, comma, position(*token.start)
            if depth == 1:
                last, comma = (last, position(*token.end)) if token.string == ',' else (position(*token.end), None)
            if token.string == '[':
                depth += 1
    except (tokenize.TokenError, SyntaxError, IndexError) as error:
        raise WhiteListError(f'cannot be split into tokens: {error}')
    raise WhiteListError(f'{LIST} has no closing bracket')


def _insert(lines: list[bytes], position: Position, text: bytes) -> None:
    row, column = position
    lines[row - 1] = lines[row - 1][:column] + text + lines[row - 1][column:]
