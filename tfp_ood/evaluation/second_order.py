"""The second-order analysis of constant-volume Glow (Nalisnick et al., 2019, section 5).

Both sets' mean log-likelihood is expanded around the mean x0 of the training distribution p*:

    E_q[log p] - E_p*[log p] ~ g . (m_q - m_p*) + 1/2 Tr{H (S_q - S_p*)}

with g and H the gradient and Hessian of log p at x0, m and S the means and covariances. The
paper takes the means as equal, S as diagonal, and the volume and the slope of couplings as
constant. Then z = f(x) is linear, H = -J^T J for a standard normal latent, and

    1/2 Tr{H (S_q - S_p*)} = -1/2 sum_i a_i (s2_q,i - s2_p*,i),    a_i = sum_o (dz_o / dx_i)^2

where J is the product of the 1x1 kernels and actnorm scales. (The paper writes a_c as
(prod_k sum_j u_k,c,j)^2; the sum over outputs o is the exact trace where kernels mix channels.)
Since a_i >= 0, the sign depends on the variances alone: the set with the smaller ones is
likelier, whatever the weights. Pixels are in [0, 256), gaps in nats per image.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood import atomic, units
from tfp_ood.errors import EvaluationError
from tfp_ood.evaluation import tables
from tfp_ood.evaluation.images import Kept


def kernel_sensitivity(
    kernels: Sequence[np.ndarray], image_shape: tuple[int, int, int]
) -> np.ndarray:
    """a_i of the module's docstring: how strongly the latents depend on each pixel.

    Args:
      kernels: of every level, [C_l, C_l] with C_1 = 4 C: the product of its 1x1 kernels and
        actnorm scales, by which a row of channels is multiplied.
      image_shape: (H, W, C), H and W multiples of 2^levels.

    Returns:
      float64 [H, W, C], per squared pixel value.
    """
    height, width, channels = image_shape
    side = 2 ** len(kernels)  # pixels of different blocks never meet in the linear part
    units_of_pixels = np.eye(side * side * channels).reshape(-1, side, side, channels)
    latents = _linear(units_of_pixels / units.NUM_PIXEL_VALUES, kernels)
    block = np.sum(np.square(latents), axis=1).reshape(side, side, channels)
    return np.tile(block, (height // side, width // side, 1))


def _linear(x: np.ndarray, kernels: Sequence[np.ndarray]) -> np.ndarray:
    """The latents [B, h * w * c] of images [B, h, w, c] under a flow without couplings."""
    num, height, width, channels = x.shape
    x = x.reshape(num, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(num, height // 2, width // 2, 4 * channels) @ kernels[0]
    if len(kernels) == 1:
        return x.reshape(num, -1)
    num_kept = 4 * channels - 4 * channels // 2
    rest = _linear(x[..., :num_kept], kernels[1:])
    return np.concatenate([rest, x[..., num_kept:].reshape(num, -1)], axis=1)


def predicted_gap(
    slopes: Mapping[str, np.ndarray], in_kept: Kept, out_kept: Kept
) -> dict[str, float]:
    """The terms of the expansion, for the gap E_q[log p] - E_p*[log p]: nats per image.

    Args:
      slopes: of `read`.
      in_kept: of the in-distribution set p*.
      out_kept: of q.

    Returns:
      variance_term: the paper's prediction, by kernels alone.
      variance_term_at_mean: the same with the slopes of couplings at the mean image.
      mean_term: g . (m_q - m_p*), which the paper leaves out.
      variance_own, variance_other: mean over pixels of the variance over images.
    """
    change = out_kept.variance - in_kept.variance
    return {
        "variance_term": -0.5 * float(np.sum(slopes["kernel_sensitivity"] * change)),
        "variance_term_at_mean": -0.5 * float(np.sum(slopes["sensitivity"] * change)),
        "mean_term": float(np.sum(slopes["gradient"] * (out_kept.mean - in_kept.mean))),
        "variance_own": float(in_kept.variance.mean()),
        "variance_other": float(out_kept.variance.mean()),
    }


def predicted_from_moments(
    slopes: Mapping[str, np.ndarray], std_in: Sequence[float], std_out: Sequence[float]
) -> float:
    """The paper's prediction from standard deviations by channel, which all pixels then share.

    Args:
      slopes: of `read`, for images with C channels.
      std_in: [C], of the in-distribution set, in pixel values.
      std_out: [C], of the other set.

    Returns:
      E_q[log p] - E_p*[log p] in nats per image.

    Raises:
      ValueError: another number of channels.
    """
    sensitivity = slopes["kernel_sensitivity"].sum((0, 1))
    if not sensitivity.shape == np.shape(std_in) == np.shape(std_out):
        raise ValueError(f"std: got {std_in} and {std_out}; valid are {len(sensitivity)} each")
    change = np.square(std_out) - np.square(std_in)
    return -0.5 * float(np.sum(sensitivity * change))


def write(
    path: str | os.PathLike[str], slopes: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> None:
    """Writes slopes with the metadata of the in-distribution score table that they go with."""
    with atomic.replacing(path) as temporary:
        np.savez(temporary, metadata=tables.encode_metadata(metadata), **slopes)


def read(path: str | os.PathLike[str], metadata: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The slopes that go with the in-distribution table of this metadata; None if there are none.

    Raises:
      EvaluationError: the file is damaged.
    """
    if not os.path.exists(path):
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        belongs = str(found.pop("metadata")) == tables.encode_metadata(metadata)
    # np.load fails in many ways on damaged archives, zipfile.BadZipFile among them.
    except Exception as error:
        raise EvaluationError(
            f"{path} is damaged ({error}). Delete it and run --mode=evaluate, which makes it again."
        ) from error
    return found if belongs else None
