"""The geometric change from a file to its result, which the metadata has to follow: a turn, then an enlargement."""

from __future__ import annotations

from typing import NamedTuple, Tuple

from pictures.metadata import exif

Pair = Tuple[float, float]
Box = Tuple[float, float, float, float]  # left, top, width, height


class Change(NamedTuple):
    """A turn and an enlargement.

    Attributes:
        orientation: EXIF orientation of the old picture, 1 to 8.
        before: (width, height) of the old picture in pixels, before the turn.
        after: (width, height) of the new picture in pixels.
    """

    orientation: int
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def exchanges_sides(self) -> bool:
        """Whether the turn exchanges width and height."""
        return self.orientation in exif.QUARTER_TURNS

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) in pixels after the turn, before the enlargement."""
        return self.before[::-1] if self.exchanges_sides else self.before

    @property
    def factors(self) -> Pair:
        """(horizontal, vertical) scale factors from the upright picture to the new one."""
        return self.after[0] / self.upright[0], self.after[1] / self.upright[1]

    def without_turn(self) -> Change:
        """Return the enlargement alone, for metadata that already describes the upright picture."""
        return Change(1, self.upright, self.after)

    def along(self, values: Pair) -> Pair:
        """Return a (horizontal, vertical) pair of values in their order after the turn, without enlarging them."""
        return values[::-1] if self.exchanges_sides else values

    def sides(self, size: Pair) -> Pair:
        """Return a (width, height) in pixels after the turn and the enlargement."""
        width, height = self.along(size)
        return width * self.factors[0], height * self.factors[1]

    def relative_point(self, x: float, y: float) -> Pair:
        """Return a point after the turn.

        Args:
            x: the distance from the left edge of the old picture, 0 to 1.
            y: the distance from its top edge, 0 to 1.

        Returns:
            (x, y) in the upright picture, 0 to 1 each.
        """
        if self.exchanges_sides:
            x, y = y, x
        if self.orientation in (2, 3, 6, 7):
            x = 1 - x
        if self.orientation in (3, 4, 7, 8):
            y = 1 - y
        return x, y

    def relative_box(self, box: Box) -> Box:
        """Return a box after the turn.

        Args:
            box: (left, top, width, height), as fractions of the old picture's width and height.

        Returns:
            (left, top, width, height), as fractions of the upright picture's width and height.
        """
        left, top, width, height = box
        x, y = self.relative_point(left + width / 2, top + height / 2)
        width, height = self.along((width, height))
        return x - width / 2, y - height / 2, width, height

    def point(self, x: float, y: float) -> Pair:
        """Return a point after the turn and the enlargement, (x, y) in pixels from the top left corner."""
        x, y = self.relative_point(x / self.before[0], y / self.before[1])
        return x * self.after[0], y * self.after[1]

    def box_in(self, frame: Pair, box: Box) -> Box:
        """Return a box after the turn and the enlargement of the frame that contains it.

        Args:
            frame: (width, height) of the frame in pixels. The frame may be larger than the picture.
            box: (left, top, width, height) in pixels of the frame.

        Returns:
            (left, top, width, height) in pixels of the new frame.
        """
        width, height = frame
        left, top = box[0] / width, box[1] / height
        turned = self.relative_box((left, top, box[2] / width, box[3] / height))
        width, height = self.sides(frame)
        return turned[0] * width, turned[1] * height, turned[2] * width, turned[3] * height

    def subject_area(self, numbers: list[float]) -> list[int]:
        """Return EXIF's SubjectArea after the turn and the enlargement (EXIF 2.32, 4.6.5).

        Args:
            numbers: the centre's x and y in pixels; then nothing, or a diameter, or a width and a height.

        Returns:
            The same numbers for the new picture, rounded, at least 0.
        """
        changed = list(self.point(numbers[0], numbers[1]))
        if len(numbers) == 3:
            changed.append(numbers[2] * self.factors[0])
        elif len(numbers) > 3:
            changed += self.sides((numbers[2], numbers[3]))
        return [max(0, round(x)) for x in changed]
