"""Label-free checks of a representation: has it collapsed, how many dimensions does it use?"""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize


def embedding_std(z: np.ndarray) -> float:
    """Mean standard deviation of the L2-normalised embeddings (Chen & He 2021, figure 2).

    Parameters
    ----------
    z : array, shape (n, d)

    Returns
    -------
    0 when all embeddings are equal (collapse); 1 / sqrt(d) when they spread evenly over the sphere.
    """
    return float(normalize(z).std(axis=0).mean())


def rankme(z: np.ndarray, eps: float = 1e-7) -> float:
    """Effective rank of the features (Garrido et al. 2023, equation 4).

    The exponential of the entropy of the singular values of the uncentred matrix (not of their squares).

    Parameters
    ----------
    z : array, shape (n, d), with n >= d.

    Returns
    -------
    a number between 1 (one direction) and d; 0 where all features are 0.
    """
    singular = np.linalg.svd(np.asarray(z, dtype=np.float64), compute_uv=False)
    if not singular.any():
        return 0.0
    p = singular / singular.sum() + eps
    return float(np.exp(-(p * np.log(p)).sum()))


def alignment(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared distance of the normalised embeddings of two views (Wang & Isola 2020); 0 is perfect.

    Parameters
    ----------
    a, b : arrays, shape (n, d); row i of both comes from picture i.
    """
    return float(np.square(normalize(a) - normalize(b)).sum(axis=1).mean())


def uniformity(z: np.ndarray, t: float = 2.0) -> float:
    """Log of the mean Gaussian potential over pairs of normalised embeddings (Wang & Isola 2020).

    Parameters
    ----------
    z : array, shape (n, d)

    Returns
    -------
    0 for collapse; towards -2 t for embeddings spread evenly over a high-dimensional sphere.
    """
    z = normalize(z)
    upper = np.triu_indices(len(z), k=1)
    squared_distances = (2 - 2 * z @ z.T)[upper]
    return float(np.log(np.exp(-t * squared_distances).mean()))


def knn_accuracy(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray,
    k: int = 20,
) -> float:
    """Accuracy of a vote among the k nearest neighbours by cosine similarity, weighted exp(similarity / 0.1).

    The weighting is that of Wu et al. (2018).
    """
    vote = KNeighborsClassifier(
        min(k, len(train_labels)), weights=lambda distance: np.exp((1 - distance) / 0.1), metric="cosine"
    )
    return float(vote.fit(train_features, train_labels).score(features, labels))
