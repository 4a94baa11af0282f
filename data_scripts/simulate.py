"""Write simulated stand-ins: images to .npz, tables to .csv or .parquet, scenes to a new folder laid out as CamVid is.

Every public function of sslbook.worlds that draws one of these can be named, and its arguments are the options. What is
written is read by the container of the room: Images.from_npz, Transactions.from_csv, Interactions.from_parquet,
Scenes.from_folder and so on.
"""

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from PIL import Image

from sslbook.data import DataError
from sslbook.data.catalog import rooms
from sslbook.data.splits import NPZ_KEYS
from sslbook.domains.driving import Scenes


def main(argv: list[str] | None = None) -> None:
    """Draw a stand-in and write it."""
    knobs = {name: tuple(given) if isinstance(given, list) else given for name, given in vars(parse(argv)).items()}
    draw, output = simulators()[knobs.pop("name")], knobs.pop("output")
    try:
        said = writer_of(draw)(draw(**knobs), output)
    except (DataError, OSError) as error:
        sys.exit(f"{output} was not written: {error}")
    print(f"{output}: {said}")


def simulators() -> dict[str, Callable]:
    """All public functions of the worlds that draw what can be written, by name without ``simulate_``."""
    found = {}
    for room in rooms():
        world = importlib.import_module(f"sslbook.worlds.{room}")
        for name, draw in inspect.getmembers(world, inspect.isfunction):
            if draw.__module__ == world.__name__ and not name.startswith("_") and writer_of(draw):
                found[name.removeprefix("simulate_")] = draw
    return found


def writer_of(draw: Callable) -> Callable[..., str] | None:
    """Return what writes the result of a function, and None where nothing can: some data are drawn in memory only."""
    drawn = inspect.signature(draw, eval_str=True).return_annotation
    if drawn is Scenes:
        return write_scenes
    if drawn is pd.DataFrame:
        return write_table
    return write_arrays if hasattr(drawn, "to_npz") else None


def write_arrays(container: object, output: Path) -> str:
    """Write a container that knows how to write itself, and say what it holds."""
    container.to_npz(output)
    return f"{container.data_card.title}, SIMULATED\n{container.counts()}"


def write_table(table: pd.DataFrame, output: Path) -> str:
    """Write a table by the ending of its file, and say what it holds."""
    if output.suffix == ".csv":
        table.to_csv(output, index=False)
    elif output.suffix == ".parquet":
        table.to_parquet(output, index=False)
    else:
        raise DataError(f"{output.name} does not end in .csv or .parquet; name a file that does.")
    return f"{len(table)} rows, SIMULATED, with the columns {', '.join(table)}"


def write_scenes(scenes: Scenes, folder: Path) -> str:
    """Write frames to train, val and test of a new folder, and masks of class numbers to trainannot and so on."""
    folder.mkdir()
    for name, split in scenes.splits.items():
        for ending, pictures in (("", split.frames), ("annot", split.masks)):
            place = folder / (NPZ_KEYS[name] + ending)
            place.mkdir()
            for frame, pixels in zip(split.names, pictures, strict=True):
                Image.fromarray(pixels).save(place / f"{frame}.png")
    return f"{scenes.data_card.title}, SIMULATED\n{scenes.counts()}"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line: one command for each stand-in, with one option for each argument of its function."""
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=summary, epilog=f"{details} `NAME --help` lists the options of NAME.")
    commands = parser.add_subparsers(dest="name", required=True, metavar="name")
    for name, draw in simulators().items():
        text = inspect.getdoc(draw)
        command = commands.add_parser(
            name,
            help=text.partition("\n")[0].replace("%", "%%"),
            epilog=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("output", type=Path, help="file to write, ending in .npz, .csv or .parquet, or new folder")
        for knob in inspect.signature(draw).parameters.values():
            command.add_argument(flag_of(knob), **option_of(knob))
    return parser.parse_args(argv)


def flag_of(knob: inspect.Parameter) -> str:
    """Return the name of the option for an argument: ``--no-signal`` for one that is true by default."""
    return f"--{'no-' * (knob.default is True)}{knob.name.replace('_', '-')}"


def option_of(knob: inspect.Parameter) -> dict:
    """Return how argparse reads an argument, by the type of its default."""
    if isinstance(knob.default, bool):
        return {"dest": knob.name, "action": "store_false" if knob.default else "store_true"}
    option = {"default": knob.default, "type": type(knob.default), "help": "default: %(default)s"}
    if isinstance(knob.default, tuple):
        option |= {"type": type(knob.default[0]), "nargs": len(knob.default)}
    return option


if __name__ == "__main__":
    main()
