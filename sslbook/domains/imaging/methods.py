"""Baselines of imaging."""

import numpy as np


def pixels(images: np.ndarray) -> np.ndarray:
    """Pictures (n, height, width, channels) as rows of raw pixel values (n, height * width * channels), float32."""
    return images.reshape(len(images), int(np.prod(images.shape[1:]))).astype(np.float32) / 255
