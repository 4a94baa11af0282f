"""Label-free checks of a representation: has it collapsed, how many dimensions does it use?"""

import numpy as np
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
