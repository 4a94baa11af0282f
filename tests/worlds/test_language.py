"""Simulated requests: what is drawn, and where their meaning lies."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sslbook.domains.language import search
from sslbook.worlds.language import (
    BANK,
    TROUBLE,
    mistyped,
    requests,
    simulate_banking77,
    simulate_clinc150,
    simulate_icecat,
)


def accuracy(overlap: float, shuffled: bool = False) -> float:
    texts = simulate_banking77(30, overlap=overlap)
    labels = np.random.default_rng(0).permutation(texts.train.labels) if shuffled else texts.train.labels
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=30, max_iter=300)).fit(texts.train.texts, labels)
    return model.score(texts.test.texts, texts.test.labels)


@pytest.mark.filterwarnings("ignore:Nearly every text")
def test_meaning_lies_in_words_as_far_as_they_overlap():
    none, all_of_it = accuracy(0.0), accuracy(1.0)
    assert none < 0.85 < all_of_it
    assert accuracy(0.5, shuffled=True) < 0.05


def test_the_same_seed_draws_the_same():
    one, two, other = (simulate_banking77(20, seed=seed) for seed in (3, 3, 4))
    assert (one.train.texts == two.train.texts).all() and set(one.train.texts) != set(other.train.texts)


def test_stand_ins_have_the_intents_of_the_real_ones():
    bank, assistant = simulate_banking77(), simulate_clinc150()
    assert len(bank.classes) == 77 and len(assistant.classes) == 151 and "oos" in assistant.classes
    assert (bank.name, assistant.name, bank.source) == ("banking77", "clinc150", "simulated")
    assert not set(bank.train.groups) & set(bank.test.groups)
    assert not any("customer" in problem for problem in bank.data_card.known_problems), "groups are known"


def test_words_that_mean_the_same_are_drawn_as_told():
    usual = requests(BANK, TROUBLE, "{object} {wish}", 2, overlap=1.0, typos=0.0)
    assert all(label.replace("_", " ") in text for text, label in zip(usual["text"], usual["label"], strict=True))
    free = requests(BANK[:1], TROUBLE[:1], "{object}", 300, overlap=0.0, typos=0.0)["text"]
    assert free.str.contains("plastic").mean() == pytest.approx(1 / 3, abs=0.1)


def test_typing_errors():
    rng = np.random.default_rng(0)
    assert mistyped("no errors, 12", 0.0, rng) == "no errors, 12"
    assert mistyped("12, 3!", 1.0, rng) == "12, 3!", "only letters"
    long = mistyped("a" * 10_000, 0.1, rng)
    assert len(long) == pytest.approx(10_000, abs=100) and long != "a" * 10_000


def test_what_a_shop_and_its_customers_call_a_thing():
    def found_by_words(overlap):
        shop = simulate_icecat(600, overlap)
        holds = np.array([[float(query in text.lower()) for text in shop.texts] for query in shop.queries])
        return np.nanmean(search.ndcg_of_search(holds, shop))

    assert found_by_words(0.0) > 0.1
    shop, again, other = simulate_icecat(600), simulate_icecat(600), simulate_icecat(600, seed=1)
    assert (shop.titles == again.titles).all() and (shop.titles != other.titles).any()
    assert shop.name == "icecat" and shop.source == "simulated"
    assert set(shop.judged.data) == {1, 2, 4}, "grades 0, 1 and 3"
    perfect = shop.judged.toarray()
    assert np.nanmin(search.ndcg_of_search(perfect, shop)) == pytest.approx(1)
    unseen = search.judged_share(np.random.default_rng(0).random(perfect.shape), shop).mean()
    agree = [(one.data == shop.judged.data).mean() for one in shop.raters]
    assert len(agree) == 3 and all(0.75 < share < 0.95 for share in agree)
    assert unseen < 0.2, "most products are judged for no query"
