"""The change of a picture's pixels that its metadata has to follow: a turn, then an enlargement."""

from __future__ import annotations

from typing import NamedTuple, Tuple

from pictures.metadata import exif

Pair = Tuple[float, float]
Box = Tuple[float, float, float, float]  # left, top, width, height


class Change(NamedTuple):
    """A turn and an enlargement.

    Attributes:
        orientation: EXIF's, 1 to 8, of the picture before.
        before: (width, height) in pixels, before the turn.
        after: (width, height) in pixels, at the end.
    """

    orientation: int
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def exchanges_sides(self) -> bool:
        """Whether width becomes height."""
        return self.orientation in exif.QUARTER_TURNS

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) between the turn and the enlargement."""
        return self.before[::-1] if self.exchanges_sides else self.before

    @property
    def factors(self) -> Pair:
        """How many times the upright picture becomes wider and higher."""
        return self.after[0] / self.upright[0], self.after[1] / self.upright[1]

    def without_turn(self) -> Change:
        """The same for what speaks of the upright picture already."""
        return Change(1, self.upright, self.after)

    def along(self, values: Pair) -> Pair:
        """(horizontal, vertical) values, as they lie after the turn; they are not enlarged."""
        return values[::-1] if self.exchanges_sides else values

    def sides(self, size: Pair) -> Pair:
        """A width and a height in pixels, turned and enlarged."""
        width, height = self.along(size)
        return width * self.factors[0], height * self.factors[1]

    def relative_point(self, x: float, y: float) -> Pair:
        """A place in the picture, 0 to 1 from its left and from its top, after the turn."""
        if self.exchanges_sides:
            x, y = y, x
        if self.orientation in (2, 3, 6, 7):
            x = 1 - x
        if self.orientation in (3, 4, 7, 8):
            y = 1 - y
        return x, y

    def relative_box(self, box: Box) -> Box:
        """A box in relative numbers, after the turn."""
        left, top, width, height = box
        x, y = self.relative_point(left + width / 2, top + height / 2)
        width, height = self.along((width, height))
        return x - width / 2, y - height / 2, width, height

    def point(self, x: float, y: float) -> Pair:
        """A place in pixels, turned and enlarged."""
        x, y = self.relative_point(x / self.before[0], y / self.before[1])
        return x * self.after[0], y * self.after[1]

    def box_in(self, frame: Pair, box: Box) -> Box:
        """A box in pixels of a frame that is turned and enlarged with the picture."""
        width, height = frame
        left, top = box[0] / width, box[1] / height
        turned = self.relative_box((left, top, box[2] / width, box[3] / height))
        width, height = self.sides(frame)
        return turned[0] * width, turned[1] * height, turned[2] * width, turned[3] * height

    def subject_area(self, numbers: list[float]) -> list[int]:
        """EXIF's SubjectArea: a centre, with a diameter or with a width and a height, in pixels (EXIF 2.32, 4.6.5)."""
        changed = list(self.point(numbers[0], numbers[1]))
        if len(numbers) == 3:
            changed.append(numbers[2] * self.factors[0])
        elif len(numbers) > 3:
            changed += self.sides((numbers[2], numbers[3]))
        return [max(0, round(x)) for x in changed]
