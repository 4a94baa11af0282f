"""Download the real data sets of the book into the cache, verified; fetch nothing twice."""

import argparse
import sys

from sslbook import data
from sslbook.data.store import local_path, wanted


def main(argv: list[str] | None = None) -> None:
    """Fetch the named data sets, or list the catalog."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="The cache is $SSLBOOK_DATA, or the platform's cache folder when that is not set.",
    )
    parser.add_argument("names", nargs="*", metavar="name", help="data set to fetch (default: all)")
    parser.add_argument("--list", action="store_true", help="list size, licence and state; fetch nothing")
    arguments = parser.parse_args(argv)
    failures = []
    for name in arguments.names or data.catalog():
        try:
            if arguments.list:
                print(describe(name))
            else:
                print(f"{name}: {', '.join(str(path) for path in data.fetch(name))}{alternative(name)}")
        except data.DataError as error:
            failures.append(f"{name}: {error}")
    if failures:
        sys.exit("\n".join(failures))


def describe(name: str) -> str:
    """Return one entry of the catalog as a few lines."""
    entry = data.find(name)
    there = all(local_path(file).exists() for file in wanted(entry))
    state = f"{'in the cache' if there else 'not fetched yet'}{alternative(name)}"
    files = ", ".join(file.name for file in wanted(entry))
    return f"{name}: {entry.title}\n  {entry.size / 1e6:.1f} MB, {entry.licence}, {state} ({files})\n  {entry.citation}"


def alternative(name: str) -> str:
    """Say so where another file is used in place of the official ones."""
    entry = data.find(name)
    if wanted(entry) == entry.files:
        return ""
    official = ", ".join(file.name for file in entry.files)
    return f" (in place of {official}; to download that, move it away)"


if __name__ == "__main__":
    main()
