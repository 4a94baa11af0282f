"""Write the stand-in of a data set to one .npz file, which sslbook.data.Images.from_npz reads."""

import argparse
import sys
from pathlib import Path

from sslbook import data


def main(argv: list[str] | None = None) -> None:
    """Draw a stand-in and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help=f"data set to stand in for: {', '.join(data.CATALOG)}")
    parser.add_argument("output", type=Path, help="file to write, ending in .npz")
    parser.add_argument("--n-train", type=int, help="training images (default: the stand-in's own)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other images (default: 0)")
    parser.add_argument(
        "--difficulty",
        type=float,
        default=1.0,
        help="above 0; 2 halves the signal, 0.5 doubles it (default: 1)",
    )
    parser.add_argument(
        "--nuisance", type=float, default=1.0, help="spread of what the label does not depend on (default: 1)"
    )
    arguments = parser.parse_args(argv)
    knobs = {"seed": arguments.seed, "difficulty": arguments.difficulty, "nuisance": arguments.nuisance}
    if arguments.n_train is not None:
        knobs["n_train"] = arguments.n_train
    try:
        images = data.find(arguments.name).simulator(**knobs)
        images.to_npz(arguments.output)
    except (data.DataError, OSError) as error:
        sys.exit(f"{arguments.output} was not written: {error}")
    print(f"{arguments.output}: {images.card.title}, SIMULATED\n{images.counts()}")


if __name__ == "__main__":
    main()
