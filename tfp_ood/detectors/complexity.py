"""Complexity: is the image as likely as its size when compressed says?"""

import math
import types
from collections.abc import Collection, Mapping
from typing import Any

from tfp_ood.detectors.base import ColumnDetector

_CODECS = ("png_bytes", "webp_bytes")


class Complexity(ColumnDetector):
    """-log2 p(x) - 8 min over codecs of the bytes of x: bits per image.

    Serra et al., "Input complexity and out-of-distribution detection with likelihood-based
    generative models", 2020, equation 2. A lossless codec is a general model of images: what it
    finds as easy as the model does is told by neither. The codecs are PNG and WebP, whichever the
    score table has. High means foreign: it costs the model more than the codec, compared with
    usual images. Blind to images that suit the model as well as the codec; on photographs a codec
    is a poor judge, and so is this.
    """

    name = "complexity"
    title = "Input complexity"
    needs = ("log_prob", "png_bytes")
    is_combined = True

    def uses(self, names: Collection[str]) -> tuple[str, ...]:
        """WebP is taken where it is there."""
        further = [name for name in _CODECS if name in names and name not in self.needs]
        return (*self.needs, *further) if super().uses(names) else ()

    def of_columns(self, columns: Mapping[str, Any], xp: types.ModuleType) -> Any:
        """Bits of the model less those of the better codec."""
        size = columns["png_bytes"]
        if "webp_bytes" in columns:
            size = xp.minimum(size, columns["webp_bytes"])
        return -columns["log_prob"] / math.log(2.0) - 8.0 * size
