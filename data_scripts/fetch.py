"""Download the real data sets of the book into the cache, verified; fetch nothing twice."""

import argparse
import sys

from sslbook import data
from sslbook.data.store import local_path


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
    for name in arguments.names or data.CATALOG:
        try:
            if arguments.list:
                print(describe(name))
            else:
                print(f"{name}: {', '.join(str(path) for path in data.fetch(name))}")
        except data.DataError as error:
            failures.append(f"{name}: {error}")
    if failures:
        sys.exit("\n".join(failures))


def describe(name: str) -> str:
    """Return one entry of the catalog as a few lines."""
    entry = data.find(name)
    state = "in the cache" if all(local_path(file).exists() for file in entry.files) else "not fetched yet"
    files = ", ".join(file.name for file in entry.files)
    return f"{name}: {entry.title}\n  {entry.size / 1e6:.1f} MB, {entry.licence}, {state} ({files})\n  {entry.citation}"


if __name__ == "__main__":
    main()
