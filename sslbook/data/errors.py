"""What goes wrong with data, said in one sentence that also says what to do."""


class DataError(ValueError):
    """The data cannot be used as they are; the message names the file, row or column and the mend."""


class Offline(DataError):
    """The real data are not in the cache, and none of their hosts can be reached."""
