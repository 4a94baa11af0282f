"""Texts before anybody reads them: personal data masked, copies found, phrases that give a label away."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from sslbook.data.tables import UNKNOWN

E_MAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]*\d)")
LEAK_SHARE, LEAK_PURITY, FEWEST = 0.8, 0.99, 20  # of a class, of the texts with the phrase, texts of a class
FOREIGN = 0.5  # share of the long texts without a common English word


def mask_personal_data(text: str) -> tuple[str, int]:
    """Put [e-mail], [account] and [card] in the place of e-mail addresses, bank accounts and payment cards.

    A number is a card if its check digit is right (Luhn 1960), an account if its IBAN is (ISO 13616). Names, addresses
    and telephone numbers stay: no rule finds them reliably.

    Returns
    -------
    the text, and how many were masked
    """
    text, mails = E_MAIL.subn("[e-mail]", text)
    found = mails

    def masked(match: re.Match, right: bool, word: str) -> str:
        nonlocal found
        found += right
        return word if right else match[0]

    text = IBAN.sub(lambda m: masked(m, is_iban(m[0]), "[account]"), text)
    return CARD.sub(lambda m: masked(m, is_card(m[0]), "[card]"), text), found


def is_card(number: str) -> bool:
    """Whether the check digit of a card number is right: every second digit from the right is doubled (Luhn)."""
    digits = [int(x) for x in number if x.isdigit()][::-1]
    return sum(digits[::2]) % 10 == -sum(sum(divmod(2 * d, 10)) for d in digits[1::2]) % 10


def is_iban(number: str) -> bool:
    """Whether the check digits of an account number are right: letters count from 10, modulo 97 must be 1."""
    plain = number.replace(" ", "")
    return int("".join(str(int(x, 36)) for x in plain[4:] + plain[:4])) % 97 == 1


def plain_form(text: str) -> str:
    """What texts have in common that differ in case, white space or the coding of letters only."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def leaking_phrases(texts: Sequence[str], labels: np.ndarray, classes: Sequence[str]) -> dict[str, str]:
    """Phrases of three to five words that nearly every text of a class holds and hardly any other text.

    People do not write so alike: such a phrase comes from a form or from whoever closed the case ("closed as fraud"),
    and will not be there when a new message comes.

    Parameters
    ----------
    labels : int64 array (n,), ``UNKNOWN`` where not known.

    Returns
    -------
    dict : name of the class -> its longest such phrase
    """
    counter = CountVectorizer(ngram_range=(3, 5), binary=True, token_pattern=r"(?u)\S+", min_df=FEWEST // 2)
    known = np.flatnonzero(labels != UNKNOWN)
    try:
        holds = counter.fit_transform([texts[i] for i in known]).tocsc()
    except ValueError:  # no phrase is frequent enough
        return {}
    phrases, total = counter.get_feature_names_out(), np.asarray(holds.sum(axis=0)).ravel()
    found = {}
    for label, name in enumerate(classes):
        of_class = labels[known] == label
        if of_class.sum() < FEWEST or of_class.all():
            continue
        inside = np.asarray(holds[of_class].sum(axis=0)).ravel()
        leaks = (inside >= LEAK_SHARE * of_class.sum()) & (inside >= LEAK_PURITY * total)
        if leaks.any():
            found[name] = max(phrases[leaks], key=len)
    return found


def not_english(texts: Sequence[str]) -> float:
    """Share of the texts of five words or more in which no common English word occurs; 0 where none is so long."""
    words = [re.findall(r"[^\W\d_]+", text.lower()) for text in texts]
    long = [found for found in words if len(found) >= 5 or sum(map(len, found)) >= 40]  # Chinese sets no blanks
    return sum(ENGLISH_STOP_WORDS.isdisjoint(found) for found in long) / max(1, len(long))
