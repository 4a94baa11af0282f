"""What goes wrong with data, said in one sentence that also says what to do."""

from collections.abc import Sequence


class DataError(ValueError):
    """The data cannot be used as they are; the message names the file, row or column, and what to do."""


class Offline(DataError):
    """The real data are not in the cache, and none of their hosts can be reached."""


SHOWN = 5  # how many bad files or rows an error names before it counts the rest


def shorten(items: Sequence[str]) -> str:
    """Join the first five items and count the others."""
    rest = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
