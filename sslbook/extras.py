"""Packages that only some chapters need."""

import importlib
from types import ModuleType


def package(name: str, extra: str) -> ModuleType:
    """An installed package; a sentence that names the extra it comes with where it is missing.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"{missing.name} is not installed; it comes with an extra: pip install 'sslbook[{extra}]'."
        ) from None
