"""The real files, where $SSLBOOK_DATA holds them."""

import json
import os
import runpy
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pooch import file_hash
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sslbook import data
from sslbook.data.pictures import VOID
from sslbook.domains import credit, driving, imaging, motion, shop
from sslbook.domains.credit.catalog import digest_of_credit
from sslbook.domains.driving import camvid
from sslbook.domains.imaging import lgg
from sslbook.domains.language.catalog import CLINC_PARTS, digest_of_products, read_clinc150
from sslbook.domains.motion import eth_ucy
from sslbook.metrics.classification import roc_auc

CACHE = Path(os.environ.get("SSLBOOK_DATA") or "/nonexistent")
MRI = CACHE / "samples" / "brain_mri"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"$SSLBOOK_DATA has no {path.relative_to(CACHE)}")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        pytest.param(
            "pneumoniamnist",
            [[1214, 135, 234], [3494, 389, 390]],
            marks=needs(CACHE / "raw" / "pneumoniamnist.npz"),
        ),
    ],
)
def test_official_files_hold_the_official_counts(name, counts):
    images = data.load(name, source="real")
    assert images.source == "real"
    assert images.shape == (28, 28, 1)
    assert images.counts().to_numpy().tolist() == counts
    assert (CACHE / "raw" / f"{name}.npz").stat().st_size == data.catalog()[name].size


@needs(CACHE / "raw" / "pneumoniamnist.npz")
def test_xrays_of_different_children_are_not_called_duplicates():
    pairs = imaging.duplicates(data.load("pneumoniamnist", source="real"))
    assert (pairs["kind"] == "exact").sum() == 29
    assert len(pairs) < 40


@needs(CACHE / "prepared" / "creditcard_sample.parquet")
@pytest.mark.skipif((CACHE / "raw" / "creditcard.csv").exists(), reason="the official file goes first")
def test_creditcard_sample():
    payments = data.load("creditcard", source="real")
    assert payments.counts()[["rows", "findings"]].to_numpy().tolist() == [
        [9191, 339], [301, 3], [0, 0], [6328, 131], [0, 0]
    ]  # fmt: skip
    assert payments.data_card.known_problems[0].startswith("This is a sample")
    assert any("19 rows that repeat another" in problem for problem in payments.data_card.known_problems)
    whole = payments.everything
    assert whole.weights[whole.labels == 0].sum() == pytest.approx(284_315)
    assert (whole.weights[whole.labels == 1] == 1).all()
    size = (CACHE / "prepared" / "creditcard_sample.parquet").stat().st_size
    assert size == data.catalog()["creditcard"].alternative[0].size


@needs(CACHE / "raw" / "Beauty.txt")
def test_beauty():
    log = data.load("beauty", source="real")
    assert log.source == "real"
    assert log.counts().iloc[0, :4].tolist() == [22_363, 12_101, 198_502, 198_502]
    assert log.counts()["share of repeats"].item() == 0
    assert np.bincount(log.users).min() == np.bincount(log.items).min() == 5
    assert log.items[:5].tolist() == [0, 1, 2, 3, 4]  # the first line of the file is "1 1 2 3 4 5"
    # and the last is "22363 6466 9744 3025 10607 10487"
    assert log.items[-5:].tolist() == [6465, 9743, 3024, 10606, 10486]
    assert (log.user_names[-1], log.item_names[-1]) == ("22363", "12101")
    assert log.attributes.shape[0] == 12_101
    assert np.flatnonzero(log.attributes[[3]].toarray()).tolist() == [0, 1, 2]  # "4": [1, 2, 3]
    test = log.holdout("test")
    assert len(test.users) == 22_363
    assert test.targets[[22_362]].indices.tolist() == [10_486]
    assert [(CACHE / "raw" / file.name).stat().st_size for file in data.catalog()["beauty"].files] == [
        1_090_094,
        305_674,
    ]


@needs(CACHE / "prepared" / "online_retail.parquet")
@pytest.mark.skipif((CACHE / "raw" / "online+retail.zip").exists(), reason="the official file goes first")
def test_online_retail():
    log = data.load("online_retail", source="real")
    assert log.counts().iloc[0, :4].tolist() == [4_086, 3_171, 381_972, 17_873]
    assert log.counts()["share of repeats"].item() == pytest.approx(0.311, abs=0.001)
    assert log.start == pd.Timestamp("2010-12-01")
    assert np.bincount(log.users).min() >= 5 <= np.bincount(log.items).min()
    assert log.titles[log.item_names == "85123A"].tolist() == ["WHITE HANGING HEART T-LIGHT HOLDER"]
    assert not {"POST", "M", "D", "DOT", "BANK CHARGES"} & set(log.item_names)
    assert log.quantity.min() > 0 < np.nanmin(log.price)
    said = " ".join(log.data_card.known_problems)
    counts = "2,995 of 541,909; 134,005 of 538,914; 10,092 rows repeat; 8,539 rows of negative; 2,714 purchases"
    for count in counts.split("; "):
        assert count in said
    assert len(log.holdout("test", by="basket").users) == 1_975
    assert len(log.holdout("test", by="basket").new_only().users) == 1_727
    size = (CACHE / "prepared" / "online_retail.parquet").stat().st_size
    assert size == data.catalog()["online_retail"].alternative[0].size


@needs(CACHE / "raw" / "Beauty.txt")
@needs(CACHE / "prepared" / "online_retail.parquet")
def test_fetch_finds_both_logs_in_the_cache(monkeypatch, capsys):
    monkeypatch.setenv("SSLBOOK_OFFLINE", "1")
    main = runpy.run_path(str(Path(__file__).parents[2] / "data_scripts" / "fetch.py"))["main"]
    main(["beauty", "online_retail"])
    main(["beauty", "online_retail", "--list"])
    printed = capsys.readouterr().out
    assert printed.count("Beauty_item2attributes.json") == 2
    assert printed.count("online_retail.parquet") + printed.count("online+retail.zip") >= 2
    assert "not fetched yet" not in printed


@needs(CACHE / "prepared" / "online_retail.parquet")
def test_every_unit_of_online_retail_is_accounted_for():
    """Pieces bought and taken back, added up by hand, are those of the container before the 5-core."""
    columns = ["CustomerID", "StockCode", "InvoiceDate", "Quantity"]
    table = pd.read_parquet(CACHE / "prepared" / "online_retail.parquet", columns=columns).dropna()
    table = table[table["StockCode"].str[0].str.isdigit()]
    named = {"user": "CustomerID", "item": "StockCode", "time": "InvoiceDate", "quantity": "Quantity"}
    log = shop.Interactions.from_frame(table, **named, core=1)
    back_first = table.sort_values(["InvoiceDate", "Quantity"], ascending=[True, False], kind="stable")
    held: dict[tuple, int] = {}
    for user, item, _, pieces in back_first.itertuples(index=False):
        held[user, item] = max(held.get((user, item), 0) + pieces, 0)
    assert log.matrix(log.quantity).sum(dtype=np.float64) == sum(held.values())
    assert log.matrix().nnz == sum(pieces > 0 for pieces in held.values())


@needs(MRI)
def test_foreign_folder_with_official_splits():
    images = imaging.Images.from_folder(MRI)
    assert images.classes == ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor")
    assert images.classes[images.positive] != "no_tumor"
    assert sum(len(split) for split in images.splits.values()) == sum(1 for _ in MRI.rglob("*.jpg"))
    assert all(name.startswith("Testing/") for name in images.test.names)
    assert (images.counts() > 0).all(axis=None)
    assert images.shape == (28, 28, 1)


@needs(MRI)
def test_foreign_folder_without_official_splits():
    images = imaging.Images.from_folder(MRI / "Training", size=32, colour=True)
    assert images.shape == (32, 32, 3)
    assert (images.counts() > 0).all(axis=None)


LGG = CACHE / "prepared" / "lgg_flair_64.npz"


@pytest.fixture(scope="module")
def scans() -> imaging.Images:
    return data.load("lgg_mri", source="real")


@needs(LGG)
def test_lgg(scans):
    assert scans.counts().to_numpy().tolist() == [[1858, 0, 698], [961, 0, 412]]
    assert [len(set(split.groups)) for split in scans.splits.values()] == [75, 0, 35]
    assert scans.shape == (64, 64, 1)
    for split in (scans.train, scans.test):
        for patient in np.unique(split.groups):
            assert split.order[split.groups == patient].tolist() == list(range(1, (split.groups == patient).sum() + 1))
    assert "TCGA_CS_4941_19960909 slice 12" in scans.train.names.tolist() + scans.test.names.tolist()


@needs(LGG)
def test_what_the_card_says_of_lgg_is_true(scans):
    said = " ".join(scans.data_card.known_problems)
    for claim in ("about .7,", ".88", "has 35", "1,110", "3 to 37", "45 patients, HT 34, CS 16, FG 14", "20 to 88",
                  "twentieth", "12 pixels", "32 slices"):  # fmt: skip
        assert claim in said
    with np.load(LGG) as arrays:
        patient, number, share, pixels = (arrays[part] for part in ("patient", "slice", "tumour_fraction", "images"))
    patients, inverse, slices = np.unique(patient, return_inverse=True, return_counts=True)
    assert (slices.min(), slices.max(), len(scans.test)) == (20, 88, 1110)
    hospitals = np.unique([name[5:7] for name in patients], return_counts=True)
    assert dict(zip(*map(np.ndarray.tolist, hospitals), strict=True)) == {
        "CS": 16,
        "DU": 45,
        "EZ": 1,
        "FG": 14,
        "HT": 34,
    }
    tumours = np.bincount(inverse, share > 0)
    runs = np.bincount(inverse, (share > 0) & ~((share > 0) & np.roll(share > 0, 1) & (number > 1)))
    assert (tumours.min(), tumours.max(), set(runs)) == (3, 37, {1})
    assert np.quantile(share[share > 0], 0.05) * 4096 == pytest.approx(12, abs=0.6)
    flat = pixels.max(axis=(1, 2)) == pixels.min(axis=(1, 2))
    assert (flat.sum(), (pixels[flat].max(axis=(1, 2)) == 0).sum()) == (32, 30)
    pairs = imaging.duplicates(scans)
    across = pairs[(pairs["kind"] == "exact") & (pairs["split_a"] != pairs["split_b"])]
    assert len(across) > 0
    for place, low, high in ((number, 0.70, 0.73), (number / slices[inverse], 0.87, 0.89)):
        test = np.isin(patient, scans.test.groups)
        curve = np.stack([place, place.astype(float) ** 2], axis=1) / place.max()
        model = LogisticRegression(C=100).fit(curve[~test], share[~test] > 0)
        assert low < roc_auc_score(share[test] > 0, model.decision_function(curve[test])) < high


@needs(LGG)
@needs(CACHE / "samples" / "lgg")
def test_official_tiff_become_the_prepared_bytes():
    made = lgg.prepare(CACHE / "samples" / "lgg")
    with np.load(LGG) as prepared:
        same = np.isin(np.char.add(prepared["patient"], prepared["slice"].astype(str)),
                       np.char.add(made["patient"], made["slice"].astype(str)))  # fmt: skip
        assert same.sum() == len(made["slice"]) == 8
        assert set(made) == set(prepared)
        for part in made:
            assert made[part].dtype == prepared[part].dtype
            assert made[part].tobytes() == prepared[part][same].tobytes()


CAMVID = CACHE / "prepared" / "camvid_160x120.npz"
SAMPLES = CACHE / "samples" / "camvid"


@pytest.fixture(scope="module")
def drives() -> driving.Scenes:
    return data.load("camvid", source="real")


@needs(CAMVID)
def test_camvid(drives):
    assert [len(split) for split in drives.splits.values()] == [367, 101, 233]
    assert drives.shape == (120, 160)
    assert len(drives.classes) == 11
    count = {name: dict(zip(*np.unique(split.drives, return_counts=True), strict=True))
             for name, split in drives.splits.items()}  # fmt: skip
    assert count == {
        "train": {"0001TP": 62, "0006R0": 101, "0016E5": 204},
        "validation": {"0016E5": 101},
        "test": {"0001TP": 62, "Seq05VD": 171},
    }
    assert (drives.counts()["with a mask"] == drives.counts()["frames"]).all()
    assert sorted(drives.classes[i] for i in drives.vulnerable) == ["Bicyclist", "Pedestrian", "Pole", "SignSymbol"]


@needs(CAMVID)
def test_camvid_without_the_leak(drives):
    assert drives.shared_drives == ("0001TP",)
    honest = drives.without_shared_drives()
    assert [len(split) for split in honest.splits.values()] == [305, 101, 233]
    assert honest.shared_drives == ()
    assert (honest.test.frames == drives.test.frames).all()
    assert set(honest.train.drives) == {"0006R0", "0016E5"}


@needs(CAMVID)
def test_what_the_card_says_of_camvid_is_true(drives):
    said = " ".join(drives.data_card.known_problems)
    for claim in ("62 frames", "62 of 233", "7 seconds", "101 frames", "four drives", "at dusk", "2 to 4 %"):
        assert claim in said
    validation, train = drives.validation, drives.train
    assert np.ptp(validation.time) == pytest.approx(6.67, abs=0.01)
    assert np.diff(validation.time) == pytest.approx(1 / 15)
    same_drive = train.time[train.drives == "0016E5"]
    assert same_drive.min() < validation.time.min() < validation.time.max() < same_drive.max()
    shares = drives.class_shares()
    assert shares.sum().to_numpy() == pytest.approx(1)
    assert (shares.loc[["Pedestrian", "Bicyclist"], "train"] < 0.01).all()
    assert shares.loc["Bicyclist", "validation"] > 10 * shares.loc["Bicyclist", "test"]
    assert list(shares["train"].nlargest(3).index) == ["Road", "Building", "Sky"]
    bright = {name: split.frames[split.drives == name].mean() for split in (drives.train, drives.test)
              for name in np.unique(split.drives)}  # fmt: skip
    assert 1.5 * bright.pop("0001TP") < min(bright.values())
    void = [(split.masks == VOID).mean() for split in drives.splits.values()]
    assert 0.015 < min(void) and max(void) < 0.045


@needs(CAMVID)
@needs(SAMPLES)
def test_official_png_become_the_prepared_pixels(drives):
    made = camvid.prepare(SAMPLES)
    with np.load(CAMVID) as prepared:
        assert list(made) == list(prepared)
        for split in ("train", "val", "test"):
            same = np.isin(prepared[f"{split}_names"], made[f"{split}_names"])
            assert same.sum() == len(made[f"{split}_names"]) >= 3
            for part in ("names", "images", "masks"):
                assert (prepared[f"{split}_{part}"][same] == made[f"{split}_{part}"]).all()
                assert prepared[f"{split}_{part}"].dtype.kind == made[f"{split}_{part}"].dtype.kind


@needs(CAMVID)
def test_fetch_finds_camvid_in_the_cache(monkeypatch, capsys):
    monkeypatch.setenv("SSLBOOK_OFFLINE", "1")
    main = runpy.run_path(str(Path(__file__).parents[2] / "data_scripts" / "fetch.py"))["main"]
    main(["camvid"])
    main(["camvid", "--list"])
    printed = capsys.readouterr().out
    assert printed.count("camvid_160x120.npz") == 2
    assert "in the cache" in printed


@needs(CAMVID)
@needs(SAMPLES)
def test_own_folder_in_the_official_layout(drives):
    own = driving.Scenes.from_folder(SAMPLES, classes=camvid.CLASSES, void=11)
    for name, split in own.splits.items():
        official = drives.splits[name].subset(np.isin(drives.splits[name].names, split.names))
        assert split.names.tolist() == official.names.tolist()
        assert split.drives.tolist() == official.drives.tolist()
        assert (split.frames == official.frames).all()
        assert (split.masks == official.masks).all()


PEDESTRIANS = CACHE / "prepared" / "eth_ucy.parquet"
OFFICIAL = CACHE / "samples" / "eth_ucy"
CREDIT = CACHE / "prepared" / "credit_default.parquet"
CROSSING = CACHE / "prepared" / "vru_tracks_12hz.parquet"


@pytest.fixture(scope="module")
def walks() -> motion.Tracks:
    return data.load("eth_ucy", source="real")


def straight_on(tracks: motion.Tracks) -> np.ndarray:
    """ADE and FDE of constant velocity on each window, (n, 2)."""
    past, future = np.split(tracks.positions, [motion.PAST], axis=1)
    return motion.displacement(motion.constant_velocity(past), future).to_numpy()


@needs(PEDESTRIANS)
def test_eth_ucy(walks):
    assert walks.source == "real"
    assert walks.names == (*motion.FIVE, "zara3", "univ examples", "eth corrected")
    assert walks.counts()["windows"].tolist() == [364, 1197, 24334, 2356, 5910, 2488, 621, 2614]
    assert walks.counts()["walkers"].tolist() == [44, 122, 722, 142, 189, 120, 82, 271]
    assert (PEDESTRIANS.stat().st_size, len(walks)) == (data.catalog()["eth_ucy"].alternative[0].size, 39_884)
    assert walks.leave_out("eth")[0].names == ("hotel", "univ", "zara1", "zara2", "zara3", "univ examples")
    assert walks.leave_out("univ")[0].names == ("eth", "hotel", "zara1", "zara2", "zara3", "eth corrected")


@needs(PEDESTRIANS)
def test_what_the_card_says_of_eth_ucy_is_true(walks):
    said = " ".join(walks.data_card.known_problems)
    for claim in ("1.075 m", "2.28 m", ".678 m", "1.344 m", ".534 m", "1.148 m", ".520 m", "1.141 m", ".667 s",
                  "24,334 windows of univ are 722 people", "three minutes", "Eight recordings"):  # fmt: skip
        assert claim in said
    error, recordings = straight_on(walks), np.char.partition(walks.walkers, " of ")[:, 2]
    mean = {scene: error[walks.scenes == scene].mean(axis=0) for scene in walks.names}
    assert mean["eth"] == pytest.approx([1.075, 2.282], abs=6e-4)
    assert mean["eth corrected"] == pytest.approx([0.678, 1.344], abs=6e-4)
    assert np.mean([mean[scene] for scene in motion.FIVE], axis=0) == pytest.approx([0.534, 1.148], abs=6e-4)
    together = pd.Series(walks.walkers).groupby([recordings, walks.starts]).transform("size") > 1
    kept = [error[together & (walks.scenes == scene)].mean(axis=0) for scene in motion.FIVE]
    assert np.mean(kept, axis=0) == pytest.approx([0.520, 1.141], abs=6e-4)
    for recording in ("students001", "students003"):
        assert 165 < np.ptp(walks.starts[recordings == recording]) < 215


@needs(PEDESTRIANS)
def test_the_usual_eth_file_has_a_position_every_ten_frames_of_fifteen_a_second():
    """Between the frames of the makers, six apart and so 0.4 s, lie its positions."""
    table = eth_ucy.read_positions(PEDESTRIANS)
    usual, makers = (table[table["scene"] == name] for name in ("biwi_eth", eth_ucy.CORRECTED))
    off = []
    for pedestrian, path in usual.groupby("pedestrian"):
        known = makers[makers["pedestrian"] == pedestrian]
        off += [np.interp(path["frame"], known["frame"], known[axis]) - path[axis] for axis in "xy"]
    assert np.median(np.abs(np.concatenate(off))) < 0.01
    assert np.quantile(np.abs(np.concatenate(off)), 0.95) < 0.05


@needs(PEDESTRIANS)
@needs(OFFICIAL)
def test_official_lines_become_the_prepared_rows():
    table = eth_ucy.read_positions(PEDESTRIANS)
    hotel = eth_ucy.read_recording(OFFICIAL / "biwi_hotel_val.txt").assign(scene="biwi_hotel")
    assert len(hotel) == len(hotel.merge(table)) == 1597
    corrected = eth_ucy.read_recording(OFFICIAL / "seq_eth_obsmat.txt")
    expected = table[table["scene"] == eth_ucy.CORRECTED].reset_index(drop=True)
    pd.testing.assert_frame_equal(corrected, expected[list(corrected)], check_dtype=False)


@needs(PEDESTRIANS)
@needs(OFFICIAL)
def test_digests_of_the_catalog_are_those_of_the_prepared_rows():
    table, entry = eth_ucy.read_positions(PEDESTRIANS), data.catalog()["eth_ucy"]
    *recordings, obsmat = entry.files
    assert {Path(file.name).stem for file in recordings} == set(eth_ucy.RECORDINGS) - {eth_ucy.CORRECTED}
    for file in recordings:
        rows = table[table["scene"] == Path(file.name).stem]
        assert eth_ucy.digest_of_table(rows) == file.sha256
    official = OFFICIAL / obsmat.name
    assert (official.stat().st_size, obsmat.digest(official)) == (obsmat.size, obsmat.sha256)


@needs(PEDESTRIANS)
def test_fetch_finds_eth_ucy_in_the_cache(monkeypatch, capsys):
    monkeypatch.setenv("SSLBOOK_OFFLINE", "1")
    main = runpy.run_path(str(Path(__file__).parents[2] / "data_scripts" / "fetch.py"))["main"]
    main(["eth_ucy", "--list"])
    assert "in the cache" in capsys.readouterr().out


@needs(CROSSING)
def test_the_crossing_with_cyclists(tmp_path):
    """Written as the makers pass it on, one file for each walker."""
    table = pd.read_parquet(CROSSING).rename(columns={"t": "timestamp"})
    for (kind, way, walker), rows in table.groupby(["kind", "motion", "track"], observed=True):
        path = tmp_path / f"{kind}s" / way / f"{walker}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows[["timestamp", "x", "y"]].reset_index(drop=True).to_csv(path)
    tracks = motion.read_crossing(tmp_path)
    assert tracks.counts()["windows"].to_dict() == {"crossing pedestrians": 1310, "crossing cyclists": 17639}
    assert tracks.counts()["walkers"].to_dict() == {"crossing pedestrians": 321, "crossing cyclists": 442}
    steps = np.hypot(*np.diff(tracks.positions, axis=1).T)
    assert np.quantile(steps, 0.999) < 6, "nobody is faster than 15 m/s"
    assert straight_on(tracks).mean(axis=0) == pytest.approx([1.00, 2.10], abs=0.02)


@needs(CREDIT)
def test_credit_default():
    people = data.load("credit_default", source="real")
    assert people.source == "real" and len(people) == 30_000
    assert people.labels.sum() == 6_636 and people.labels.mean() == pytest.approx(0.2212, abs=1e-4)
    assert people.counts()["borrowers"].tolist() == [22_500, 7_500]
    entry = data.find("credit_default")
    assert digest_of_credit(CREDIT) == entry.files[0].sha256, "what the archive must hold"
    alike = people.inputs.join(people.audit).duplicated()
    assert alike.sum() == 56 and "56 holders" in " ".join(entry.known_problems)
    assert people.audit["sex"].isin([1, 2]).all() and people.audit["age"].between(21, 79).all()
    assert people.inputs["pay_0"].between(-2, 8).all()


@needs(CREDIT)
def test_an_analysts_features_make_a_linear_model_as_good_as_trees():
    people = data.load("credit_default", source="real")
    train, columns = people.split == "train", credit.features(people.inputs)
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    scores = [linear.fit(x[train], people.labels[train]).predict_proba(x[~train]) for x in (people.inputs, columns)]
    plain, clever = (roc_auc(people.labels[~train], said) for said in scores)
    assert 0.70 < plain < 0.74 and 0.77 < clever < 0.80


@needs(CACHE / "raw" / "banking77_train.csv")
def test_banking77():
    texts = data.load("banking77", source="real")
    assert texts.counts()[["texts", "classes"]].to_numpy().tolist() == [[9996, 77], [0, 0], [3080, 77]]
    assert any(problem.startswith("7 copies of texts of a later split") for problem in texts.data_card.known_problems)
    assert np.bincount(texts.test.labels).tolist() == [40] * 77


@needs(CACHE / "prepared" / "clinc150.parquet")
def test_clinc150_is_the_official_file(tmp_path):
    texts = data.load("clinc150", source="real")
    assert texts.counts()[["texts", "classes"]].to_numpy().tolist() == [[15095, 151], [3100, 151], [5500, 151]]
    table = pd.read_parquet(CACHE / "prepared" / "clinc150.parquet")
    parts = {part: table.loc[table["part"] == part, ["text", "intent"]].values.tolist() for part in CLINC_PARTS}
    official = tmp_path / "data_full.json"
    official.write_text(json.dumps(parts, indent=4, separators=(", ", ": ")), encoding="ascii")
    assert file_hash(str(official)) == data.find("clinc150").files[0].sha256
    again = read_clinc150(data.find("clinc150"), [official])
    assert (again.train.texts == texts.train.texts).all() and again.classes == texts.classes


@needs(CACHE / "samples" / "icecat" / "4.json.zip")
def test_icecat_and_one_official_part():
    part = data.find("icecat").files[3]
    assert digest_of_products(CACHE / "samples" / "icecat" / "4.json.zip") == part.sha256
    search = data.load("icecat", source="real")
    assert (len(search), len(search.queries), search.judged.nnz) == (19_406, 135, 3_668)
    a, b, c = (one.data for one in search.raters)
    assert len(a) == 3_188 and ((a == b) & (b == c)).mean() == pytest.approx(0.71, abs=0.01)
    table = pd.read_parquet(CACHE / "prepared" / "icecat_products.parquet").fillna("")
    rows = ["\t".join(map(str, row)) for row in table[["product_id", "title", "description"]].itertuples(index=False)]
    bounds = (0, 5000, 10_000, 15_000, len(rows))
    for part, first, last in zip(data.find("icecat").files, bounds, bounds[1:], strict=False):
        assert sha256("\n".join(rows[first:last]).encode()).hexdigest() == part.sha256
