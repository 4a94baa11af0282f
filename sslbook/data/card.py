"""What every container says about its data: where they come from, and whether they are real."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class DataCard:
    """What a reader must know about a data set before believing a number measured on it."""

    name: str
    title: str
    source: str
    licence: str
    citation: str
    provenance: str
    known_problems: tuple[str, ...] = ()

    def noting(self, *problems: str) -> DataCard:
        """The card with more known problems."""
        return replace(self, known_problems=(*self.known_problems, *problems))

    def _repr_html_(self) -> str:
        banner = (
            '<p style="background:#b00020;color:white;font-weight:bold;padding:.5em">SIMULATED: a stand-in drawn by a '
            "generator. Nothing measured on it holds for the real data.</p>"
            if self.source == "simulated"
            else ""
        )
        rows = "".join(
            f"<tr><th style='text-align:left'>{key}</th><td style='text-align:left'>{html.escape(text)}</td></tr>"
            for key, text in (
                ("licence", self.licence),
                ("source", self.provenance),
                ("cite", self.citation),
                *(("known problem", problem) for problem in self.known_problems),
            )
            if text
        )
        return f"{banner}<p><b>{html.escape(self.title)}</b></p><table>{rows}</table>"


class Described:
    """A container with a ``data_card``."""

    data_card: DataCard

    @property
    def name(self) -> str:
        """Short name, for records and figure titles."""
        return self.data_card.name

    @property
    def source(self) -> str:
        """Whether the data are "real" or "simulated"."""
        return self.data_card.source


def own_data_card(name: str, title: str, problems: Sequence[str]) -> DataCard:
    """Return the card of data that a reader brought."""
    return DataCard(name, title, "real", "your own", "", "your own", tuple(problems))


def simulated_data_card(name: str, title: str, drawn_by: str, problems: Sequence[str]) -> DataCard:
    """Return the card of data that a generator drew; ``drawn_by`` names its module."""
    licence, cite = "Apache-2.0, as the book", "none: not for publication"
    provenance = f"Drawn by {drawn_by}; the labels are exact."
    return DataCard(name, title, "simulated", licence, cite, provenance, tuple(problems))
