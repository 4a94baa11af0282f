"""Turn a folder or a table of images into one .npz file, which sslbook.domains.imaging.Images.from_npz reads.

A folder holds one sub-folder per class, or train, val and test folders that do. A table (.csv) has one row
per image, with a path and a label column, and may have a group column (patient, site): its images stay
together.
"""

import argparse
import sys
from pathlib import Path

from sslbook.data import DataError
from sslbook.domains.imaging import Images, duplicates


def main(argv: list[str] | None = None) -> None:
    """Read, check, split, write; then say what is in the file and what is there twice."""
    arguments = parse(argv)
    common = {
        name: getattr(arguments, name) for name in ("size", "colour", "validation", "test", "seed", "positive", "title")
    }
    try:
        if arguments.source.suffix.lower() == ".csv":
            columns = {name: getattr(arguments, name) for name in ("path", "label", "group", "split", "order")}
            images = Images.from_csv(arguments.source, arguments.image_folder, **columns, **common)
        else:
            images = Images.from_folder(arguments.source, **common)
        images.to_npz(arguments.output)
    except (DataError, OSError) as error:
        sys.exit(f"{arguments.output} was not written: {error}")
    print(f"{arguments.output}: {images.data_card.title}\n{images.counts()}")
    for problem in images.data_card.known_problems:
        print(f"Note: {problem}")
    pairs = duplicates(images)
    across = pairs[pairs["split_a"] != pairs["split_b"]]
    if len(pairs):
        print(f"Note: {len(pairs)} pairs of equal or nearly equal images, {len(across)} of them across splits:")
        print(across.head(10).to_string(index=False))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=summary, epilog=details)
    parser.add_argument("source", type=Path, help="folder of images, or .csv table")
    parser.add_argument("output", type=Path, help="file to write, ending in .npz")
    parser.add_argument("--size", type=int, default=28, help="height and width in pixels (default: 28)")
    parser.add_argument("--colour", action="store_true", help="keep colour (default: grey)")
    parser.add_argument("--validation", type=float, default=0.15, help="share, without official split (0.15)")
    parser.add_argument("--test", type=float, default=0.25, help="share, without official split (0.25)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws another split (default: 0)")
    parser.add_argument("--positive", help="class that is the finding, for sensitivity")
    parser.add_argument("--title", help="for figures and reports")
    table = parser.add_argument_group("tables only")
    table.add_argument("--image-folder", type=Path, help="where the paths start (default: beside the table)")
    table.add_argument("--path", default="path", help="column of the file paths (default: path)")
    table.add_argument("--label", default="label", help="column of the class names (default: label)")
    table.add_argument("--group", help="column of the patient or site")
    table.add_argument("--split", help="column that says train, val or test")
    table.add_argument("--order", help="column of the place of an image in its group")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
