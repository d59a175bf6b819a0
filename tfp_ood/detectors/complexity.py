"""Complexity: is the image as likely as its length under a code of images in general says?"""

import types
from collections.abc import Mapping
from typing import Any

from tfp_ood.detectors.base import ColumnDetector
from tfp_ood.units import NATS_PER_BIT


class Complexity(ColumnDetector):
    """-log2 p(x) - L(x), L the length of x under a lossless code: bits per image.

    Serra et al., "Input complexity and out-of-distribution detection with likelihood-based
    generative models", 2020, equation 2. A lossless code is a general model of images: what it
    finds as easy as the model does is told by neither. The code is `evaluation.code_length`, where
    the article has PNG, JPEG 2000 and FLIF. High means foreign: the image costs the model more than
    the code, compared with usual images. Blind to images that suit the model as well as the code;
    on photographs a code is a poor judge, and so is this.
    """

    name = "complexity"
    title = "Input complexity"
    needs = ("log_prob", "code_bits")
    is_combined = True

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """Bits of the model less those of the code."""
        return -columns["log_prob"] / NATS_PER_BIT - columns["code_bits"]
