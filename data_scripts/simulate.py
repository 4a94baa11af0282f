"""Write the stand-in of a data set: images as .npz, which sslbook.data.Images.from_npz reads, tables as .csv or
.parquet, which from_csv and from_parquet of sslbook.data.Transactions (of Interactions for a shop) read, frames and
masks of drives as a folder of PNG files, laid out as CamVid is, which sslbook.data.Scenes.from_folder reads."""

import argparse
import inspect
import sys
from pathlib import Path

import pandas as pd
from PIL import Image

from sslbook import data
from sslbook.data.images import NPZ_KEYS
from sslbook.data.simulate_rows import TABLES

SIMULATORS = TABLES | {"streets": data.simulate_streets}


def main(argv: list[str] | None = None) -> None:
    """Draw a stand-in and write it."""
    arguments = vars(parse(argv))
    name, output = arguments.pop("name"), arguments.pop("output")
    knobs = {knob: value for knob, value in arguments.items() if value is not None}
    try:
        simulator = SIMULATORS.get(name) or data.find(name).simulator
        for knob in knobs.keys() - inspect.signature(simulator).parameters.keys():
            raise data.DataError(f"{name} has no knob {knob!r}; leave it out.")
        drawn = simulator(**knobs)
        if isinstance(drawn, pd.DataFrame):
            said = write_table(drawn, output)
        elif isinstance(drawn, data.Interactions):
            raise data.DataError(f"{name} is drawn in memory only; write the table 'shop', a log of the same kind.")
        elif isinstance(drawn, data.Scenes):
            said = write_scenes(drawn, output)
        else:
            drawn.to_npz(output)
            said = f"{drawn.card.title}, SIMULATED\n{drawn.counts()}"
    except (data.DataError, OSError) as error:
        sys.exit(f"{output} was not written: {error}")
    print(f"{output}: {said}")


def write_table(table: pd.DataFrame, output: Path) -> str:
    """Write a table by the ending of its file, and say what it holds."""
    if output.suffix == ".csv":
        table.to_csv(output, index=False)
    elif output.suffix == ".parquet":
        table.to_parquet(output, index=False)
    else:
        raise data.DataError(f"{output.name} does not end in .csv or .parquet; name a file that does.")
    return f"{len(table)} rows, SIMULATED, with the columns {', '.join(table)}"


def write_scenes(scenes: data.Scenes, folder: Path) -> str:
    """Write frames to train, val and test of a new folder, and masks of class numbers to trainannot and so on."""
    folder.mkdir()
    for name, split in scenes.splits.items():
        for ending, pictures in (("", split.frames), ("annot", split.masks)):
            place = folder / (NPZ_KEYS[name] + ending)
            place.mkdir()
            for frame, pixels in zip(split.names, pictures, strict=True):
                Image.fromarray(pixels).save(place / f"{frame}.png")
    return f"{scenes.card.title}, SIMULATED\n{scenes.counts()}"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; a knob that is not given keeps the default of the stand-in."""
    names = dict.fromkeys([*data.CATALOG, *SIMULATORS])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help=f"data set to stand in for: {', '.join(names)}")
    parser.add_argument("output", type=Path, help="file to write, ending in .npz, .csv or .parquet, or new folder")
    parser.add_argument("--seed", type=int, help="another seed draws others (default: 0)")
    parser.add_argument("--n-train", type=int, help="training images (default: the stand-in's own)")
    parser.add_argument("--n", type=int, help="rows of a table (default: the stand-in's own)")
    parser.add_argument("--n-cards", type=int, help="cards of card payments (default: the stand-in's own)")
    parser.add_argument("--days", type=int, help="days of card payments (default: the stand-in's own)")
    parser.add_argument("--n-users", type=int, help="shoppers of a shop (default: 3000)")
    parser.add_argument("--n-items", type=int, help="items of a shop (default: 1200)")
    parser.add_argument("--order", type=float, help="0 to 1, how often an event is a sequel of the last (default: 1)")
    parser.add_argument("--season", type=float, help="spread of the seasons of a shop (default: 1)")
    parser.add_argument("--repeats", type=float, help="0 to 1, how often something is bought again (default: 0)")
    parser.add_argument("--drives", type=int, help="drives through streets, at least 3 (default: 4)")
    parser.add_argument("--frames-per-drive", type=int, help="frames of a drive through streets (default: 40)")
    parser.add_argument("--weather", type=float, help="from 0, spread of light, haze, noise and blur (default: 1)")
    parser.add_argument("--detail", type=float, help="0 to 1; 0 paints each class in one colour (default: 1)")
    parser.add_argument("--prevalence", type=float, help="share of the cards that suffer a fraud (default: 0.2)")
    parser.add_argument("--label-delay", type=float, help="days within which a fraud is reported (default: 7)")
    parser.add_argument("--difficulty", type=float, help="above 0; 2 halves the signal, 0.5 doubles it (default: 1)")
    parser.add_argument("--nuisance", type=float, help="spread of what the label does not depend on (default: 1)")
    parser.add_argument("--no-signal", dest="signal", action="store_const", const=False, help="labels drawn at random")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
