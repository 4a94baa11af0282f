"""Simulated chest X-rays and brain MRI: the schema of the real sets, drawn in about a second.

Each image is drawn by formulas in the frame of the body, of width and height 2 around 0, x to the right and y
downwards. The label acts only on the *signal* (opacities in the lungs; shape and border of the lesion), which
``difficulty`` weakens; everything else is *nuisance*, drawn alike for all classes, which ``nuisance`` widens.
"""

from collections.abc import Callable

import numpy as np

from sslbook.data.card import DataCard, simulated_data_card
from sslbook.data.errors import DataError
from sslbook.domains.imaging.data import Images, ImageSplit

SIZE = 28  # pixels
Spread = Callable[[float, float], np.ndarray]


def simulate_pneumoniamnist(
    n_train: int = 1200, seed: int = 0, difficulty: float = 1.0, nuisance: float = 1.0
) -> Images:
    """Draw the stand-in of PneumoniaMNIST.

    As in the real set, 74 % of the training X-rays show pneumonia, validation is drawn like training, and test
    is harder (fainter opacities, more varied exposure) with 62 % pneumonia.

    Parameters
    ----------
    n_train : training X-rays; validation has 1/8 and test 1/4 as many.
    seed : the same seed draws the same X-rays.
    difficulty : above 0; 0.5 makes the opacities twice as strong, 2 half as strong.
    nuisance : spread of position, size, rotation, exposure, body shape and ribs; 0 poses all X-rays alike.

    Returns
    -------
    Images of 28 x 28 grey pixels, classes "normal" and "pneumonia"
    """
    _check(n_train, difficulty, nuisance)
    rng = np.random.default_rng(seed)
    splits = []
    for name, n, share, shift in (
        ("train", n_train, 0.742, 1.0),
        ("validation", n_train // 8, 0.742, 1.0),
        ("test", n_train // 4, 0.625, 1.15),
    ):
        labels = _shuffled_labels(rng, n, share)
        pixels = _chest_xrays(rng, labels == 1, difficulty * shift, nuisance * shift)
        splits.append(_split(name, pixels, labels))
    data_card = _data_card("pneumoniamnist", "Stand-in for PneumoniaMNIST: drawn chest X-rays, 28x28")
    return Images(*splits, classes=("normal", "pneumonia"), positive=1, data_card=data_card)


def simulate_lgg_mri(n_patients: int = 40, seed: int = 0, difficulty: float = 1.0, nuisance: float = 1.0) -> Images:
    """Draw the stand-in of LGG brain MRI.

    Each patient is a head in 20 to 36 slices from neck to crown; in nine of ten, neighbouring slices show a tumour.

    Parameters
    ----------
    n_patients : two thirds are for training, the others for test; validation is empty.
    seed, nuisance : as for ``simulate_pneumoniamnist``; fat, artefacts and the base of the skull are bright, too.
    difficulty : above 0; 0.5 makes tumours twice as bright, 2 half as bright.

    Returns
    -------
    Images of 64 x 64 grey pixels, classes "no tumour" and "tumour", with groups (patients) and order (slices)
    """
    _check(n_patients, difficulty, nuisance, "n_patients", 6)
    rng = np.random.default_rng(seed)
    slices = rng.integers(20, 37, n_patients)
    patient, number = np.repeat(np.arange(n_patients), slices), np.concatenate([np.arange(n) + 1 for n in slices])
    pixels, labels = _heads(rng, patient, (number - 0.5) / slices[patient], difficulty, nuisance)
    names = np.array([f"patient {who} slice {which}" for who, which in zip(patient, number, strict=True)])
    whole = ImageSplit(_grey(pixels), labels, np.array([f"patient {who}" for who in patient]), names, number)
    train = patient < round(n_patients * 2 / 3)
    data_card = _data_card("lgg_mri", "Stand-in for LGG brain MRI: drawn slices of heads, 64x64")
    splits = (whole.subset(part) for part in (train, train & ~train, ~train))
    return Images(*splits, classes=("no tumour", "tumour"), positive=1, data_card=data_card)


def _check(drawn: int, difficulty: float, nuisance: float, name: str = "n_train", least: int = 24) -> None:
    if drawn < least:
        raise DataError(f"{name} is {drawn}; draw at least {least}, so that every split holds both classes.")
    if difficulty <= 0 or nuisance < 0:
        raise DataError(f"difficulty is {difficulty} and nuisance {nuisance}; give one above 0 and one not below.")


def _shuffled_labels(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    return rng.permutation(np.arange(n) < round(share * n)).astype(np.int64)


def _split(name: str, pixels: np.ndarray, labels: np.ndarray) -> ImageSplit:
    return ImageSplit(_grey(pixels), labels, None, np.array([f"{name} {i}" for i in range(len(labels))]))


def _grey(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., None].round().clip(0, 255).astype(np.uint8)


def _data_card(name: str, title: str) -> DataCard:
    problem = "Drawn by a formula: a number measured on it says nothing about patients."
    return simulated_data_card(name, title, "sslbook.worlds.imaging", (problem,))


def _chest_xrays(rng: np.random.Generator, sick: np.ndarray, difficulty: float, nuisance: float) -> np.ndarray:
    """Return X-rays (n, 28, 28), 0 to 255; ``sick`` (n,) tells which show pneumonia."""
    spread = _spread(rng, len(sick), nuisance)
    x, y = _posed_grid(spread(0, 0.07), spread(0, 0.08), spread(0, 0.06), spread(0, 0.09), spread(0, 0.07))
    lungs, heart, belly = _chest_anatomy(x, y, spread)
    ribs = np.sin((y + 0.45 * np.abs(x) ** 1.5) * spread(21, 2) + spread(0, 3)) * spread(0.035, 0.015)
    shade = 0.62 + 0.10 * belly + 0.13 * heart + spread(0, 0.05) * y  # of soft tissue
    neck = _inside(0.30 - np.abs(x), 0.06) * _inside(-0.72 - y, 0.06)
    shoulder = spread(1.05, 0.08) + 0.25 * y
    air = _inside(np.abs(x) - shoulder, 0.04) * _inside(spread(-0.35, 0.3) - y, 0.1)
    air = np.maximum(air, _inside(np.abs(x) - spread(1.10, 0.06), 0.03))
    depth = spread(0.34, 0.04) + spread(0, 0.03) * np.sign(x)
    clear = lungs * (1 - _opacities(rng, x, y, sick, difficulty))
    xray = shade + 0.14 * neck - depth * clear + ribs * (0.35 + lungs)
    return _expose(rng, xray * (1 - 0.85 * air), spread)


def _spread(rng: np.random.Generator, n: int, nuisance: float) -> Spread:
    """Return a function (centre, standard deviation) -> one normal number per image, (n, 1, 1)."""
    return lambda centre, sd: rng.normal(centre, sd * nuisance, (n, 1, 1)).astype(np.float32)


def _posed_grid(
    dx: np.ndarray, dy: np.ndarray, angle: np.ndarray, zoom: np.ndarray, aspect: np.ndarray, size: int = SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Return the body coordinates x, y (n, size, size) of every pixel; shifts in half-widths."""
    line = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    x, y = line[None, None, :] - dx, line[None, :, None] - dy
    cos, sin = np.cos(angle), np.sin(angle)
    return (cos * x + sin * y) * np.exp(-zoom - aspect), (cos * y - sin * x) * np.exp(-zoom + aspect)


def _inside(distance: np.ndarray, softness: float) -> np.ndarray:
    """Return 1 where ``distance`` is well above zero, 0 well below, and a soft edge of that width between."""
    return 0.5 + 0.5 * np.tanh(distance / softness)


def _chest_anatomy(x: np.ndarray, y: np.ndarray, spread: Spread) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how far each pixel lies in lung, heart and mediastinum, and belly, 0 to 1."""
    width = np.abs(x)
    chest_wall = spread(0.90, 0.04) - 0.42 * np.clip(0.45 - y, 0, 2) ** 2
    heart = _inside(1 - np.hypot((x - spread(0.16, 0.04)) / spread(0.36, 0.04), (y - 0.30) / 0.42), 0.12)
    spine = _inside(spread(0.19, 0.03) + 0.05 * y - width, 0.06)
    dome = spread(0.56, 0.05) + spread(0.05, 0.03) * np.sign(x) + 0.30 * (width - 0.45) ** 2
    belly = _inside(y - dome, 0.05)
    lungs = _inside(chest_wall - width, 0.06) * _inside(y + spread(0.80, 0.04), 0.08)
    middle = np.maximum(heart, spine)
    return lungs * (1 - middle) * (1 - belly), middle, belly


def _opacities(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, sick: np.ndarray, difficulty: float
) -> np.ndarray:
    """Return how much of the air in the lung is replaced, 0 to 1: soft foci and haze, strong or faint."""
    n = len(sick)

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1, 1)).astype(np.float32)

    strength = sick[:, None, None] * uniform(0.45, 1.1) / difficulty
    sides = rng.choice([-1, 0, 1], (n, 1, 1))
    filled = uniform(0.1, 0.8) * strength * (sides * x >= 0)
    for _ in range(3):
        centre_x = rng.choice([-1, 1], (n, 1, 1)) * uniform(0.25, 0.7)
        centre_y, radius = uniform(-0.4, 0.5), uniform(0.15, 0.40)
        focus = np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * radius**2))
        filled = filled + uniform(0.3, 1) * strength * focus
    return np.clip(filled, 0, 0.92)


def _mottle(rng: np.random.Generator, n: int, knots: int, sd: float, size: int = SIZE) -> np.ndarray:
    """Return smooth random fields (n, size, size): noise on a grid of ``knots``, interpolated linearly."""
    grid = rng.normal(0, sd, (n, knots, knots)).astype(np.float32)
    at = np.linspace(0, knots - 1, size, dtype=np.float32)
    weights = np.clip(1 - np.abs(at[:, None] - np.arange(knots, dtype=np.float32)), 0, 1)
    return weights @ grid @ weights.T


def _expose(rng: np.random.Generator, xray: np.ndarray, spread: Spread) -> np.ndarray:
    """Return the X-ray as a device and its settings show it, 0 to 255."""
    xray = 0.55 + (xray - 0.55 + spread(0, 0.05)) * np.exp(spread(0, 0.14))
    xray = xray + _mottle(rng, len(xray), 7, 0.02) + rng.normal(0, 0.012, xray.shape)
    return 255 * np.clip(xray, 0, 1) ** np.exp(spread(0, 0.15))


def _heads(
    rng: np.random.Generator, patient: np.ndarray, height: np.ndarray, difficulty: float, nuisance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return slices (n, 64, 64), 0 to 255, and their labels; ``height`` (n,) is 0 at the neck and 1 at the crown."""
    n, draw = patient[-1] + 1, _spread(rng, patient[-1] + 1, nuisance)

    def spread(centre: float, sd: float) -> np.ndarray:  # one number for all slices of a patient
        return draw(centre, sd)[patient]

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1, 1)).astype(np.float32)[patient]

    def texture(knots: int, sd: float) -> np.ndarray:  # changes slowly from slice to slice
        one, two = (_mottle(rng, n, knots, sd, 64)[patient] for _ in range(2))
        return one * np.cos(2 * z) + two * np.sin(2 * z)

    z = height[:, None, None].astype(np.float32) * spread(1.85, 0.15) - spread(0.9, 0.2)
    x, y = _posed_grid(*(spread(0, sd) for sd in (0.04, 0.05, 0.08, 0.10, 0.04)), size=64)
    x = x * (1 + spread(0, 0.04) * np.sign(x))
    width = np.sqrt(np.clip(1 - np.clip(z, 0, None) ** 2, 0.02, 1))
    rim = 1 - np.hypot(x / (0.66 * width), y / (0.80 * width)) + texture(6, 0.02)  # 0 at the skin
    face = _inside(-0.35 - z, 0.12) * _inside(0.15 - y, 0.1)
    brain = _inside(rim - 0.16, 0.03) * (1 - face)
    fat = np.exp(-(((rim - 0.06) / 0.035) ** 2)) * spread(0.55, 0.12)
    fat = fat + face * _inside(rim - 0.05, 0.03) * np.abs(0.45 + texture(12, 0.35 * nuisance))
    ventricle = np.hypot((np.abs(x) - 0.10 - 0.1 * np.abs(y)) / spread(0.07, 0.015), y / spread(0.30, 0.04))
    caps = spread(0.06, 0.03) * np.exp(-(((ventricle - 1.3) / 0.3) ** 2)) - 0.2 * _inside(1 - ventricle, 0.2)
    tissue = spread(0.30, 0.03) + texture(16, 0.03) + caps * np.exp(-(((z - 0.1) / 0.28) ** 2))
    spot = nuisance * np.exp(-sum((line - spread(0, 0.4)) ** 2 for line in (x, y, z)) / 0.02)
    tall, radius, side = uniform(0.2, 0.6), uniform(0.20, 0.38), np.sign(uniform(-1, 1))
    reach = (uniform(0, 1) < 0.9) * radius * np.sqrt(np.clip(1 - ((z - uniform(-0.3, 0.7)) / tall) ** 2, 0, 1))
    away, seen = np.hypot(x - side * uniform(0.15, 0.35), y - uniform(-0.4, 0.4)), reach > 0.05
    tumour = seen * _inside(reach * (1 + texture(8, 0.25)) - away, 0.03) * 0.40 / difficulty
    head = (brain * (tissue + 0.2 * spot + tumour) + fat) * (1 + spread(0, 0.1) * x + spread(0, 0.1) * y)
    noise = rng.normal(0, 0.015, head.shape).astype(np.float32)
    return 255 * np.clip(head * np.exp(spread(-0.3, 0.15)) + noise, 0, 1), seen.ravel().astype(np.int64)
