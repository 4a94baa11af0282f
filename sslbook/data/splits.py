"""Split what has no official split: images by class and group, events by time, frames by drive."""

import numpy as np
from sklearn.model_selection import ShuffleSplit

from sslbook.data.errors import DataError
from sslbook.data.tables import UNKNOWN

NPZ_KEYS = {"train": "train", "validation": "val", "test": "test"}
SPLITS = tuple(NPZ_KEYS)
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}  # what folders and columns of readers call them


def complete_splits(
    split: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, classes: tuple[str, ...],
    validation: float, test: float, seed: int, unit: str = "images",
) -> np.ndarray:  # fmt: skip
    """Take test and validation images (texts, ...) out of the training images, where ``split`` has none.

    Images without a label stay in training, unless an image of the same group goes elsewhere. Without groups the share
    is taken of each class; with groups the best balanced of 50 random splits is taken.

    Parameters
    ----------
    split : str array (n,), values of ``SPLITS``.
    labels : int64 array (n,), ``UNKNOWN`` where not known.
    groups : str array (n,) or None.
    validation, test : shares of the images, between 0 and 1; of validation 0 takes none.
    unit : what to call them in messages.

    Returns
    -------
    str array (n,), values of ``SPLITS``

    Raises
    ------
    DataError : a class has too few images, or images of too few groups, to be in every split.
    """
    split, remaining = split.copy(), 1.0
    for name, share in (("test", test), ("validation", validation)):
        pool = np.flatnonzero(split == "train")
        if (split == name).any() or (labels[pool] == UNKNOWN).all() or (name == "validation" and share == 0):
            continue
        if not 0 < share < remaining:
            raise DataError(f"The {name} share is {share}; the shares of test and validation must be in (0, 1).")
        held_groups = None if groups is None else groups[pool]
        split[pool[_held_out(name, labels[pool], held_groups, classes, share / remaining, seed, unit)]] = name
        remaining -= share
    return split


def _held_out(
    name: str, labels: np.ndarray, groups: np.ndarray | None, classes: tuple[str, ...], share: float, seed: int,
    unit: str,
) -> np.ndarray:  # fmt: skip
    """Return the positions of the images that go to the split called ``name``."""
    members = [np.flatnonzero(labels == label) for label in range(len(classes))]
    if groups is None:
        rng = np.random.default_rng(seed)
        chosen = [rng.permutation(m)[: max(1, round(share * len(m)))] for m in members if len(m)]
        held = np.concatenate(chosen)
    else:
        held = held_out_groups(labels, groups, members, share, seed)
    taken = np.isin(np.arange(len(labels)), held)
    for label, member in enumerate(members):
        if len(member) and (taken[member].all() or not taken[member].any()):
            units = unit if groups is None else f"groups with {unit}"
            count = len(member) if groups is None else len(np.unique(groups[member]))
            raise DataError(
                f"Class {classes[label]!r} has {count} {units} left when the {name} split is drawn, too few to "
                "be in every split; each class needs at least three: add some, or leave the class out."
            )
    return held


def held_out_groups(
    labels: np.ndarray, groups: np.ndarray, members: list[np.ndarray], share: float, seed: int
) -> np.ndarray:
    """Return the positions of whole groups such that each class gives about ``share`` of its images."""
    labelled_groups = np.unique(groups[labels != UNKNOWN])
    if len(labelled_groups) < 2:
        raise DataError(
            f"All labelled images left are of one group, {str(labelled_groups[0])!r}, which cannot be in two "
            "splits; add images of other groups."
        )
    best, best_gap = None, np.inf
    for _, held in ShuffleSplit(n_splits=50, test_size=share, random_state=seed).split(labelled_groups):
        taken = np.isin(groups, labelled_groups[held])
        gap = max(abs(taken[member].mean() - share) for member in members if len(member))
        if gap < best_gap:
            best, best_gap = np.flatnonzero(taken), gap
    return best


def split_in_time(time: np.ndarray, validation: float, test: float, delay: float) -> np.ndarray:
    """Split events at two moments: the last are test, those before them validation, the first training.

    The label of an event is known ``delay`` after it. So the events of the last ``delay`` before evaluation begins are
    in none of the three: they are the gap. Events of one moment stay together.

    Parameters
    ----------
    time : float64 array (n,), ascending, seconds.
    validation, test : shares of the events; validation may be 0.
    delay : seconds until a label is known.

    Returns
    -------
    str array (n,): "train", "gap", "validation" or "test"

    Raises
    ------
    DataError : impossible shares, or no event left for a split.
    """
    if not (0 <= validation < 1 and 0 < test < 1 and validation + test < 1):
        raise DataError(
            f"The validation share is {validation} and the test share {test}; give a validation share from 0 and a "
            "test share above 0 that together stay below 1."
        )
    n = len(time)
    first = [min(round((1 - share) * n), n - 1) for share in (validation + test, test)]
    evaluation, testing = (time[i] for i in first)
    places = [time < evaluation - delay, time < evaluation, time < testing]
    split = np.select(places, ["train", "gap", "validation"], "test").astype("<U10")
    if not (split == "train").any():
        raise DataError(
            f"No training events are left: the table spans {_days(time[-1] - time[0])}, evaluation begins after "
            f"{_days(evaluation - time[0])}, and labels are known {_days(delay)} late; give a shorter delay, smaller "
            "shares, or more events."
        )
    if validation and not (split == "validation").any():
        raise DataError("No validation events are left: too many have the same time; say validation=0.")
    return split


def split_by_drive(
    drives: np.ndarray, time: np.ndarray, labelled: np.ndarray, validation: float, test: float, gap: float, seed: int
) -> np.ndarray:
    """Split frames such that a split has whole drives, and about its share of the labelled frames.

    Where only one drive with labels is left, its last frames are held out, and those before them that are less than
    ``gap`` seconds away are in no split. Drives without labels are for training.

    Parameters
    ----------
    drives, time, labelled : str, float64 and bool arrays (n,); time in seconds within a drive.
    validation, test : shares of the labelled frames; 0 for none.

    Returns
    -------
    str array (n,): "train", "gap", "validation" or "test"

    Raises
    ------
    DataError : impossible shares, or no labelled frame left for a split.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise DataError(
            f"The validation share is {validation} and the test share {test}; give shares from 0 that together stay "
            "below 1."
        )
    split, remaining = np.full(len(drives), "train", dtype="<U10"), 1.0
    for name, share in (("test", test), ("validation", validation)):
        pool = np.flatnonzero(split == "train")
        with_labels = np.unique(drives[pool[labelled[pool]]])
        if not share or not labelled.any():
            continue
        if len(with_labels) > 1:
            labels = np.where(labelled[pool], 0, UNKNOWN)
            held = held_out_groups(labels, drives[pool], [np.flatnonzero(labels == 0)], share / remaining, seed)
            split[pool[held]] = name
        else:
            pool = pool[drives[pool] == with_labels[0]]
            split[pool] = _last_in_time(name, time[pool], labelled[pool], share / remaining, gap, str(with_labels[0]))
        remaining -= share
    return split


def _last_in_time(
    name: str, time: np.ndarray, labelled: np.ndarray, share: float, gap: float, drive: str
) -> np.ndarray:
    """Return the split of each frame of one drive, the last of them ``name``."""
    known = np.sort(time[labelled])
    first = known[min(max(1, round((1 - share) * len(known))), len(known) - 1)]
    if not (known[known < first] <= first - gap).any():
        raise DataError(
            f"Drive {drive!r} is the only one left with masks when the {name} split is taken, and none of its "
            f"{len(known)} masks is {gap:g} seconds before its last {share:.0%}; add masks of another drive or give a "
            "shorter gap."
        )
    return np.select([time >= first, time > first - gap], [name, "gap"], "train")


def remove_known(split: np.ndarray, labels: np.ndarray, entities: np.ndarray | None) -> np.ndarray:
    """Mark as "removed" the validation and test events of entities that have a finding in training.

    A card known to be stolen is blocked, and finding it again takes no skill; the Fraud Detection Handbook (Le Borgne
    et al. 2022) leaves such cards out, too.
    """
    if entities is None:
        return split
    known = np.isin(entities, entities[(split == "train") & (labels == 1)])
    return np.where(known & np.isin(split, ("validation", "test")), "removed", split)


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.3g} days"
