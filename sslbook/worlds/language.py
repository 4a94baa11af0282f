"""Stand-ins for texts: requests to a bank and to an assistant, put together from objects, wishes and their synonyms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from sslbook.data.card import simulated_data_card
from sslbook.domains.language.data import Texts
from sslbook.domains.language.search import ProductSearch

# Rows of words that mean the same; the first is the usual one.
BANK = (
    "card|plastic|debit card", "transfer|wire|remittance", "payment|purchase|transaction", "pin|passcode|secret number",
    "app|application|program", "account|profile|membership", "top-up|deposit|recharge", "refund|reimbursement",
    "fee|charge|commission", "cash|banknotes|notes", "exchange rate|currency rate|conversion",
)  # fmt: skip
TROUBLE = (
    "has not arrived|is still missing|never came", "is blocked|got frozen|was locked", "is wrong|looks incorrect",
    "must be changed|needs an update|should be edited", "must be cancelled|has to be stopped|should be revoked",
    "is limited|reached its maximum|has a cap", "was stolen|has been taken|fell into wrong hands",
)  # fmt: skip
ASSISTANT = (
    "alarm|wake-up call", "music|songs", "weather|forecast", "flight|plane", "recipe|dish", "calendar|schedule",
    "light|lamp", "meeting|appointment", "taxi|cab", "book|novel", "message|note", "tyre|wheel", "visa|entry permit",
    "language|tongue", "game|match",
)  # fmt: skip
WISHES = (
    "start|begin", "stop|end", "find|look for", "book|reserve", "cancel|call off", "explain|describe", "repeat|redo",
    "rate|review", "share|send on", "compare|set side by side",
)  # fmt: skip
# Kinds of products: words for the kind, what else is bought with it, what it is for.
KINDS = (
    "laptop|notebook;bag;work and study", "bag|case|sleeve;laptop;carrying a computer", "printer;toner;paper documents",
    "toner|cartridge;printer;refilling a printer", "headphones|headset|earphones;phone;listening to music",
    "phone|smartphone|mobile;charger;calls and messages", "charger|power adapter;phone;filling a battery",
    "monitor|display|screen;cable;a desk", "cable|lead|cord;monitor;connecting devices",
    "keyboard;mouse;typing", "mouse|pointing device;keyboard;moving a cursor", "camera;tripod;taking pictures",
    "tripod|stand;camera;holding a camera still", "router|access point;cable;a home network",
    "battery|accumulator;charger;spare power", "kettle|water boiler;toaster;hot tea", "toaster;kettle;warm bread",
    "lamp|light;battery;reading at night", "drive|disk;cable;keeping files", "tablet|slate;charger;reading on a sofa",
)  # fmt: skip
BRANDS, COLOURS = "Avion Belmo Corda Delfin Ektra Fenno".split(), "black white silver blue red".split()
OPENINGS = ("", "hello, ", "hi there, ", "please help, ", "good morning, ", "sorry to bother you, ", "quick question: ")
ENDINGS = (
    "",
    "?",
    ".",
    ", what can I do?",
    ", please advise",
    ", thank you",
    ", can you check",
    " and I need it today",
)
CHATTER = (
    "who won the league", "tell me a joke", "what is the meaning of life", "how tall is the tower", "do fish sleep",
    "is my plant getting enough sun", "name the seven seas", "why is the sky blue", "how old is the moon",
    "which shoes go with this coat",
)  # fmt: skip


def requests(
    objects: Sequence[str], wishes: Sequence[str], form: str, per_intent: int, seed: int = 0, overlap: float = 0.5,
    typos: float = 0.03,
) -> pd.DataFrame:  # fmt: skip
    """Draw requests, one row each: columns text, label (the intent: an object and a wish) and group (a customer).

    Parameters
    ----------
    objects, wishes : rows of words that mean the same, apart by a bar.
    form : how the two become a sentence, with the fields {object} and {wish}.
    overlap : how much of the meaning lies in shared words: 1 takes the first word of each row, always; 0 takes any.
    typos : chance of a letter to be left out or doubled.
    """
    rng, rows = np.random.default_rng(seed), []

    def say(row: str) -> str:
        words = row.split("|")
        return words[0] if rng.random() < overlap else words[rng.integers(len(words))]

    for thing in objects:
        for wish in wishes:
            for _ in range(per_intent):
                core = form.format(object=say(thing), wish=say(wish))
                text = OPENINGS[rng.integers(len(OPENINGS))] + core + ENDINGS[rng.integers(len(ENDINGS))]
                label = f"{thing.split('|')[0]} {wish.split('|')[0]}".replace(" ", "_")
                rows.append({"text": mistyped(text, typos, rng), "label": label})
    frame = pd.DataFrame(rows)
    return frame.assign(group=rng.integers(len(frame) // 2 + 1, size=len(frame)).astype(str))


def mistyped(text: str, share: float, rng: np.random.Generator) -> str:
    """Leave out or double some letters."""
    chance = rng.random(len(text))
    times = np.where(chance < share / 2, 0, np.where(chance < share, 2, 1))
    return "".join(c * n if c.isalpha() else c for c, n in zip(text, times, strict=True))


def simulate_banking77(per_intent: int = 40, overlap: float = 0.5, typos: float = 0.03, seed: int = 0) -> Texts:
    """Draw messages to a bank with 77 intents, in the place of Banking77; the rest as in ``requests``."""
    form = "my {object} {wish}"
    return _texts(requests(BANK, TROUBLE, form, per_intent, seed, overlap, typos), "banking77", "messages to a bank")


def simulate_clinc150(per_intent: int = 30, overlap: float = 0.5, typos: float = 0.03, seed: int = 0) -> Texts:
    """Draw requests to an assistant with 150 intents, and chatter that is none of them, in the place of CLINC150."""
    drawn = requests(ASSISTANT, WISHES, "{wish} the {object}", per_intent, seed + 1, overlap, typos)
    chatter = requests(
        CHATTER, ("", "really", "my friend asks"), "{object} {wish}", 2 * per_intent, seed + 2, overlap, typos
    )
    frame = pd.concat([drawn, chatter.assign(label="oos")], ignore_index=True)
    return _texts(frame, "clinc150", "requests to an assistant")


def _texts(frame: pd.DataFrame, name: str, what: str) -> Texts:
    known = (f"The {what} follow one pattern, and synonyms are the only way to say a thing otherwise.",)
    card = simulated_data_card(name, f"{name}, simulated: {what}", "sslbook.worlds.language", known)
    return Texts.from_frame(frame, group="group", data_card=card)


def simulate_icecat(n: int = 1500, overlap: float = 0.5, seed: int = 0) -> ProductSearch:
    """Draw products and queries in the place of Icecat: kinds that several words name, brands, colours.

    A product of the wanted kind (and brand, where one is named) is graded 3, of the kind alone 1, what goes with it 1,
    all else 0. Judged are mostly products that share a word with the query, as by an engine that looks for words.

    Parameters
    ----------
    overlap : how often shop and customer use the usual word for a kind.
    """
    rng = np.random.default_rng(seed)
    kinds = [kind.split(";") for kind in KINDS]

    def word(kind: int) -> str:
        names = kinds[kind][0].split("|")
        return names[0] if rng.random() < overlap else names[rng.integers(len(names))]

    kind, brand = rng.integers(len(kinds), size=n), rng.integers(len(BRANDS), size=n)
    titles = [
        f"{BRANDS[b]} {rng.integers(100, 999)} {COLOURS[rng.integers(5)]} {word(k)}"
        for k, b in zip(kind, brand, strict=True)
    ]
    goods = pd.DataFrame({"id": np.arange(n).astype(str), "title": titles})
    goods["description"] = [f"{word(k)} for {kinds[k][2]}" for k in kind]
    rows = []
    for k, (names, beside, _) in enumerate(kinds):
        for name in names.split("|"):
            wanted = rng.integers(len(BRANDS)) if rng.random() < 0.3 else None
            query = name if wanted is None else f"{BRANDS[wanted].lower()} {name}"
            right = (kind == k) & (brand == wanted if wanted is not None else True)
            near = (kind == k) | np.isin(kind, [j for j, other in enumerate(kinds) if other[0].split("|")[0] == beside])
            grade = np.where(right, 3, np.where(near, 1, 0))
            shares = goods["title"].str.contains(name) | goods["description"].str.contains(name)
            pool = [rng.permutation(np.flatnonzero(shares))[:25], rng.permutation(n)[:5]]
            rows += [(query, str(i), grade[i]) for i in np.unique(np.concatenate(pool))]
    problem = "Products are of twenty kinds, each with a few names, and nothing else is ever meant."
    card = simulated_data_card("icecat", "icecat, simulated: a shop for devices", "sslbook.worlds.language", (problem,))
    ratings = pd.DataFrame(rows, columns=["query", "product", "rating"])
    drawn = ProductSearch.from_frames(goods, ratings, description="description", data_card=card)
    return replace(drawn, raters=tuple(_of_one_rater(drawn.judged, rng) for _ in range(3)))


def _of_one_rater(judged: csr_array, rng: np.random.Generator) -> csr_array:
    """The same grades, one in six another by chance."""
    other = rng.choice([1.0, 2.0, 4.0], size=judged.nnz)
    values = np.where(rng.random(judged.nnz) < 1 / 4, other, judged.data)
    return csr_array((values, judged.indices, judged.indptr), shape=judged.shape)
