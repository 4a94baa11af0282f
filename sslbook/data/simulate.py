"""Stand-ins for the real image sets: same schema, known ground truth, drawn in well under a second."""

import numpy as np

from .images import Card, Images, ImageSplit


def simulate_chest_films(
    n_train: int = 1200, seed: int = 0, difficulty: float = 1.0, nuisance: float = 1.0
) -> Images:
    """Draw chest films."""
    return _draft("pneumoniamnist", ("normal", "pneumonia"), 1, (n_train, n_train // 8, n_train // 4), seed)


def simulate_breast_ultrasound(
    n_train: int = 300, seed: int = 0, difficulty: float = 1.0, nuisance: float = 1.0
) -> Images:
    """Draw ultrasound images."""
    return _draft(
        "breastmnist", ("malignant", "normal or benign"), 0, (n_train, n_train // 5, 2 * n_train // 5), seed
    )


def _draft(name, classes, positive, sizes, seed):
    rng = np.random.default_rng(seed)
    splits = []
    for n, split in zip(sizes, ("train", "val", "test"), strict=True):
        labels = (rng.random(n) < 0.7).astype(np.int64)
        images = (
            rng.normal(120 + 15 * labels[:, None, None, None], 40, (n, 28, 28, 1))
            .clip(0, 255)
            .astype(np.uint8)
        )
        splits.append(ImageSplit(images, labels, None, np.array([f"{split} {i}" for i in range(n)])))
    card = Card(name, f"Stand-in for {name}", "simulated", "none", "", "generator", ())
    return Images(*splits, classes, positive, card)
