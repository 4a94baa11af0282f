"""The container of texts: what is read, cleaned, split and refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sslbook import data
from sslbook.data.card import own_data_card
from sslbook.data.tables import UNKNOWN
from sslbook.domains.language import catalog
from sslbook.domains.language.data import Texts, TextSplit
from tests.conftest import refuses

CARD = own_data_card("inbox", "An inbox", ())


def inbox(n: int = 40) -> pd.DataFrame:
    """Two classes by turns; no two texts alike."""
    rows = [{"text": f"my {'card' if i % 2 else 'loan'} {i}", "label": "ab"[i % 2]} for i in range(n)]
    return pd.DataFrame(rows)


def everything(texts: Texts) -> dict[str, str | None]:
    """The label of each text of a container."""
    names = (*texts.classes, None)
    return {t: names[y] for s in texts.splits.values() for t, y in zip(s.texts, s.labels, strict=True)}


def problems(texts: Texts) -> str:
    return " ".join(texts.data_card.known_problems)


def test_a_quarter_of_each_class_is_test_and_every_text_keeps_its_label():
    texts = Texts.from_frame(inbox())
    assert texts.counts()["texts"].tolist() == [30, 0, 10]
    assert np.bincount(texts.test.labels).tolist() == [5, 5]
    assert everything(texts) == dict(zip(inbox()["text"], inbox()["label"], strict=True))
    assert repr(texts) == "Texts(own texts: 30 in train, 10 in test; 2 classes)"
    assert "No groups" in problems(texts) and texts.source == "real" and "2 classes" in texts._repr_html_()
    again, other = (Texts.from_frame(inbox(), seed=seed) for seed in (0, 1))
    assert set(again.test.texts) == set(texts.test.texts) != set(other.test.texts)
    assert Texts.from_frame(inbox(), validation=0.25).counts()["texts"].tolist() == [20, 10, 10]


def test_tables_are_read_exactly_as_written(tmp_path):
    rows = [
        "text,label",
        "one,007",
        "two,007",
        "three,007",
        "NA,NA",
        "null,NA",
        " None ,NA",
        "1e2,1E2",
        "100,1E2",
        "7,1E2",
    ]
    (tmp_path / "a.csv").write_text("\ufeff" + "\n".join(rows), encoding="utf-8")
    texts = Texts.from_csv(tmp_path / "a.csv", test=0.34)
    assert texts.classes == ("007", "1E2", "NA") and texts.name == "a"
    assert everything(texts) == {
        "one": "007", "two": "007", "three": "007", "NA": "NA", "null": "NA", "None": "NA", "1e2": "1E2", "100": "1E2",
        "7": "1E2",
    }  # fmt: skip
    pd.DataFrame({"text": ["x y", "z", "u", "v", "w", "q"], "label": ["1", "1", "1", "2", "2", "2"]}).to_parquet(
        tmp_path / "b.parquet"
    )
    assert Texts.from_parquet(tmp_path / "b.parquet", test=0.34).classes == ("1", "2")


def test_rows_without_text_or_label_are_counted():
    rows = inbox()
    rows.loc[0, "text"], rows.loc[1, "text"], rows.loc[2, "label"] = "  ", None, ""
    texts = Texts.from_frame(rows)
    assert "2 rows without a text were left out (row 0, row 1)" in problems(texts)
    assert everything(texts)["my loan 2"] is None and "my loan 2" in texts.train.texts
    none = Texts.from_frame(inbox(), label=None)
    assert none.classes == () and len(none.train) == 40 and not len(none.train.labelled)


def test_copies_stay_in_the_last_split_only():
    rows = inbox(8).assign(part=["train", "val", "test", "train", "val", "test", "train", "train"])
    rows.loc[len(rows)] = ["MY  loan\n2", "b", "train"]  # as the text of test with another label
    rows.loc[len(rows)] = ["my card 1 ", "b", "train"]  # as one of validation
    rows.loc[len(rows)] = ["My card 3", "a", "train"]  # twice in training, with two labels
    texts = Texts.from_frame(rows, split="part")
    assert texts.counts()["texts"].tolist() == [5, 2, 2]
    assert "2 copies of texts of a later split" in problems(texts)
    assert "1 texts come with different labels: 'my card 3'" in problems(texts)


def test_groups_stay_together_also_in_time():
    rows = inbox(60).assign(who=[f"c{i // 3}" for i in range(60)], when=range(60))
    texts = Texts.from_frame(rows, group="who")
    assert not set(texts.train.groups) & set(texts.test.groups) and "No groups" not in problems(texts)
    late = Texts.from_frame(rows.sample(frac=1, random_state=0), time="when", test=0.2)
    assert sorted(late.test.texts) == sorted(rows["text"][48:])
    both = Texts.from_frame(rows, time="when", group="who", test=0.25)
    assert not set(both.train.groups) & set(both.test.groups) and len(both.test) == 15
    cut = Texts.from_frame(rows, time="when", group="who", test=0.2 + 1 / 60)
    assert len(cut.test) == 12 and "1 texts of groups that are in an earlier split" in problems(cut)


def test_rare_classes_become_unlabelled():
    rows = pd.concat([inbox(), pd.DataFrame({"text": ["odd one", "odd two"], "label": "Z"})])
    texts = Texts.from_frame(rows)
    assert texts.classes == ("a", "b") and everything(texts)["odd one"] is None
    assert "1 classes of fewer than 3 texts became unlabelled: 'Z' (2)" in problems(texts)


def test_personal_data_are_masked_before_anything_is_kept():
    rows = inbox()
    rows.loc[3, "text"] = "write to ann@shop.example or charge 4111 1111 1111 1111"
    texts = Texts.from_frame(rows)
    assert "write to [e-mail] or charge [card]" in everything(texts) and "2 e-mail addresses" in problems(texts)
    assert rows.loc[3, "text"] in everything(Texts.from_frame(rows, masked=False))


def test_what_gives_the_label_away_and_foreign_languages_are_said():
    rows = inbox(80)
    rows["text"] += [" closed as proven fraud" if label == "a" else "" for label in rows["label"]]
    with pytest.warns(UserWarning, match="'closed as proven fraud'|closed as proven fraud"):
        texts = Texts.from_frame(rows)
    assert "closed as proven fraud" in problems(texts)
    german = inbox(80).assign(text=[f"meine neue karte ist noch immer nicht hier, nummer {i}" for i in range(80)])
    with pytest.warns(UserWarning, match="no common English word"):
        Texts.from_frame(german)


def test_folders_of_text_files(tmp_path):
    for i in range(4):
        for name in ("bills", "cards"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{i}.txt").write_text(f"{name} text {i}", encoding="utf-8")
    (tmp_path / "loose.txt").write_text("nobody knows", encoding="utf-8")
    (tmp_path / "cards" / "scan.pdf").write_bytes(b"%PDF")
    texts = Texts.from_folder(tmp_path)
    assert texts.classes == ("bills", "cards") and everything(texts)["nobody knows"] is None
    assert "1 files that are not .txt were left out: cards/scan.pdf" in problems(texts)
    (tmp_path / "cards" / "9.txt").write_bytes(b"caf\xe9")
    with refuses("cards/9.txt is not UTF-8; save it so"):
        Texts.from_folder(tmp_path)
    with refuses("There is no folder"):
        Texts.from_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with refuses("holds no .txt file"):
        Texts.from_folder(tmp_path / "empty")


def test_what_does_not_fit_is_refused():
    with refuses("has no column 'message'; it has 'text', 'label'"):
        Texts.from_frame(inbox(), text="message")
    with refuses("is named twice"):
        Texts.from_frame(inbox(), label="text")
    with refuses("holds no text"):
        Texts.from_frame(inbox().assign(text=None))
    with refuses("has one class only, 'a'"):
        Texts.from_frame(inbox().assign(label="a"))
    with refuses("no who (row 5)", "fill it in"):
        Texts.from_frame(inbox().assign(who=["x"] * 5 + [None] + ["y"] * 34), group="who")
    with refuses("a part that is not train, val or test (row 0: 'dev'"):
        Texts.from_frame(inbox().assign(part="dev"), split="part")
    texts = Texts.from_frame(inbox())
    with refuses("Class 'c' of own texts has no training text"):
        replace(texts, classes=("a", "b", "c"))
    with refuses("has the text 'my", "in train and in test"):
        replace(texts, test=texts.train)
    with refuses("which no class"):
        replace(texts, test=replace(texts.test, labels=texts.test.labels + 5))
    with refuses("There are 2 texts but labels of shape (1,)"):
        TextSplit(np.array(["a", "b"], dtype=object), np.zeros(1, dtype=int))
    with refuses("Text 1 is nan"):
        TextSplit(np.array(["a", np.nan], dtype=object), np.full(2, UNKNOWN))
    with refuses("no training text"):
        empty = texts.train.subset(np.zeros(len(texts.train), dtype=bool))
        Texts(empty, empty, empty, (), CARD)


def test_official_files_of_clinc_and_banking(tmp_path):
    parts = {
        part: [[f"{part} {i}", "oos" if "oos" in part else f"i{i % 2}"] for i in range(4)]
        for part in catalog.CLINC_PARTS
    }
    (tmp_path / "full.json").write_text(json.dumps(parts), encoding="utf-8")
    texts = catalog.read_clinc150(data.catalog()["clinc150"], [tmp_path / "full.json"])
    assert texts.classes == ("i0", "i1", "oos") and texts.counts()["texts"].tolist() == [8, 8, 8]
    frame = pd.DataFrame(
        [(part, *row) for part, rows in parts.items() for row in rows], columns=["part", "text", "intent"]
    )
    frame.to_parquet(tmp_path / "clinc.parquet")
    same = catalog.read_clinc150(data.catalog()["clinc150"], [tmp_path / "clinc.parquet"])
    assert everything(same) == everything(texts)
    frame.assign(part="new").to_parquet(tmp_path / "odd.parquet")
    with refuses("an unknown part", "place the official file there"):
        catalog.read_clinc150(data.catalog()["clinc150"], [tmp_path / "odd.parquet"])
    for name in ("train", "test"):
        rows = [f'"{name} message\nnumber {i}",{"ab"[i % 2]}' for i in range(4)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,category", *rows]), encoding="utf-8")
    both = [tmp_path / "train.csv", tmp_path / "test.csv"]
    texts = catalog.read_banking77(data.catalog()["banking77"], both)
    assert texts.counts()["texts"].tolist() == [4, 0, 4] and texts.classes == ("a", "b")
    (tmp_path / "train.csv").write_text("text,other\na,b\n", encoding="utf-8")
    with refuses("lacks the columns category"):
        catalog.read_banking77(data.catalog()["banking77"], both)
