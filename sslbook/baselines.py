"""Baselines that need no pretraining. A comparison is as honest as its strongest baseline."""

import numpy as np
from sklearn.decomposition import PCA

from sslbook.evaluate import Prediction


def majority(labels: np.ndarray, n_test: int, classes: int) -> Prediction:
    """Predict the class frequencies of the drawn labels for every test case.

    Parameters
    ----------
    labels : int array, shape (n,), the drawn labels.
    """
    frequency = np.bincount(labels, minlength=classes) / len(labels)
    return Prediction(np.tile(frequency, (n_test, 1)), np.full(n_test, frequency.argmax()))


def pixels(images: np.ndarray) -> np.ndarray:
    """Pictures (n, height, width, channels) as rows of raw pixel values (n, height * width * channels), float32."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def principal_components(pool: np.ndarray, *others: np.ndarray, components: int = 50) -> list[np.ndarray]:
    """Leading principal components, fitted on the unlabelled pool: the classical representation learner.

    Parameters
    ----------
    pool, others : float arrays, shape (n, d)

    Returns
    -------
    list of float arrays, shape (n, components), for the pool and the others.
    """
    pca = PCA(min(components, *pool.shape), random_state=0).fit(pool)
    return [pca.transform(x).astype(np.float32) for x in (pool, *others)]
