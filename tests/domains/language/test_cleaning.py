"""Masking, copies, phrases that give a label away, and languages."""

import numpy as np
import pytest

from sslbook.domains.language import cleaning


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ask ann.b+c@mail.example.org, please", "ask [e-mail], please"),
        ("card 4111111111111111!", "card [card]!"),
        ("card 4111-1111-1111-1111", "card [card]"),
        ("card 4111 1111 1111 1112", None),  # a wrong check digit
        ("amex 378282246310005 and visa 4012888888881881", "amex [card] and visa [card]"),
        ("order 123456789012345678901234567890", None),
        ("pi is 3.141592653589793", None),
        ("to DE89 3704 0044 0532 0130 00 today", "to [account] today"),
        ("to GB82WEST12345698765432.", "to [account]."),
        ("to GB83WEST12345698765432.", None),
        ("phone 0044 20 7946 0000, at 10:30 on 2024-01-31", None),
        ("a @ b and x@y", None),
        ("", None),
    ],
)
def test_only_what_is_personal_by_its_form_is_masked(text, masked):
    found, count = cleaning.mask_personal_data(text)
    assert found == (text if masked is None else masked)
    assert count == 0 if masked is None else count == found.count("[")


def test_check_digits_against_a_second_writing():
    rng = np.random.default_rng(0)
    for digits in rng.integers(0, 10, (300, 16)):
        doubled = [d if i % 2 else d * 2 for i, d in enumerate(digits)]
        right = sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0
        assert cleaning.is_card("".join(map(str, digits))) == right


def test_plain_forms_differ_in_words_only():
    assert cleaning.plain_form("  My\tCARD\n isn\u2019t ﬁne ") == "my card isn\u2019t fine"
    assert cleaning.plain_form("e\u0301te") == cleaning.plain_form("\u00c9TE") != cleaning.plain_form("ete")


def test_phrases_that_nearly_only_one_class_has():
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(list("abcdefghijk"), 8)) for _ in range(90)]
    labels = np.repeat([0, 1, -1], 30)
    leaking = [w + (" closed as Fraud case" if i < 28 else "") for i, w in enumerate(words)]
    assert cleaning.leaking_phrases(leaking, labels, ("fraud", "other")) == {"fraud": "closed as fraud case"}
    often = [w + (" thank you very much" if i < 60 else "") for i, w in enumerate(words)]
    assert cleaning.leaking_phrases(often, labels, ("fraud", "other")) == {}, "both classes say it"
    rare = [w + (" closed as fraud case" if i < 20 else "") for i, w in enumerate(words)]
    assert cleaning.leaking_phrases(rare, labels, ("fraud", "other")) == {}, "a third of the class does not"
    assert cleaning.leaking_phrases(["one"], np.array([0]), ("a", "b")) == {}


def test_share_of_foreign_texts():
    english, german = "what is the state of my card today", "wo bleibt denn meine neue karte nur"
    assert cleaning.not_english([english, german, "ja", "ok"]) == 0.5
    assert cleaning.not_english(["我的新卡到现在还没有寄到请问它到底在哪里" * 3]) == 1
    assert cleaning.not_english(["ok"]) == 0
