"""Through a composition of bijectors part by part, where TFP's own calls would do more or less."""

from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood.models.chunks import in_chunks
from tfp_ood.models.flows.bijectors import ImageBijector

tfb = tfp.bijectors

_KEEP_VOLUME = (tfb.Shift, tfb.Split, tfb.Reshape)

Values = tf.Tensor | Sequence[tf.Tensor]
"""What enters a bijector or leaves it: images, or several parts of them."""
LogDet = tf.Tensor | float
"""In nats per image; the number 0.0 where the volume is kept."""
Visit = Callable[[tfb.Bijector, Values], tuple[Values, LogDet]]
"""From a part and what enters it to its value and its log-det."""


def forward_and_log_det(bijector: tfb.Bijector, x: Values) -> tuple[Values, LogDet]:
    """What `forward` and `forward_log_det_jacobian` return, in one pass.

    TFP asks every part for its log-det once more, and for shapes and reductions of it: a fifth of
    the operations of a small Glow's graph, which take their time to trace and little to run.

    Args:
      bijector: one of ours, or a `Chain` or `JointMap` of such and of TFP's, at any depth.
      x: the images `[B, ...]` (or list of them) that enter it.

    Returns:
      `bijector.forward(x)`, and log|det dy/dx| in nats per image: `[B]`, or `[]` where it does not
      depend on the image; 0.0 where the volume is kept.
    """
    return _walk(bijector, x, _value_and_log_det)


def initialize(bijector: tfb.Bijector, x: tf.Tensor, method: str = "initialize") -> tf.Tensor:
    """Initialises every normalization of a composition from the images that reach it.

    What is held of the images at once is what enters a bijector, and what its network makes of a
    few of them.

    Args:
      bijector: one of this package's, or a `Chain` or `JointMap` of such, at any depth.
      x: the images (or tuple of them) that enter it.
      method: to be called, where a bijector has it, with what reaches it.

    Returns:
      `bijector.forward(x)` with the initialised weights.
    """

    def visit(part: tfb.Bijector, x: Values) -> tuple[Values, float]:
        if hasattr(part, method):
            getattr(part, method)(x)
        if tf.nest.is_nested(x) or x.shape.rank != 4:
            return part.forward(x), 0.0
        kernels = [one.shape[-1] for one in part.trainable_variables if one.shape.rank > 1]
        # Float32 of all that layers put out, before a bias and after it: more than is held.
        return in_chunks(part.forward, x, 8 * (sum(kernels) + x.shape[-1])), 0.0

    return _walk(bijector, x, visit)[0]


def _walk(bijector: tfb.Bijector, x: Values, visit: Visit) -> tuple[Values, LogDet]:
    """Visits every part with what reaches it; returns the last value, and the sum of log-dets.

    Args:
      visit: from a part and what enters it to its value and its log-det, 0.0 for none.
    """
    if not isinstance(bijector, tfb.Composition):
        return visit(bijector, x)
    # Chain and JointMap are Compositions; what they hold is often not an instance of tfb.Chain but
    # of its hidden base. A JointMap is what takes several parts.
    if tf.nest.is_nested(x):
        pairs = zip(bijector.bijectors, x, strict=True)
        values, log_dets = zip(*(_walk(part, x_i, visit) for part, x_i in pairs), strict=True)
        return list(values), _total(log_dets)
    log_dets = []
    for part in reversed(bijector.bijectors):
        x, log_det = _walk(part, x, visit)
        log_dets.append(log_det)
    return x, _total(log_dets)


def _total(log_dets: Iterable[LogDet]) -> LogDet:
    """Their sum, without additions of the 0.0 of what keeps the volume."""
    tensors = [log_det for log_det in log_dets if tf.is_tensor(log_det)]
    return sum(tensors[1:], tensors[0]) if tensors else 0.0


def _value_and_log_det(part: tfb.Bijector, x: Values) -> tuple[Values, LogDet]:
    if isinstance(part, ImageBijector):
        return part._forward_and_log_det(x)
    inner = part.bijector if isinstance(part, tfb.Invert) else part
    if isinstance(inner, _KEEP_VOLUME):
        return part.forward(x), 0.0
    return part.forward(x), part.forward_log_det_jacobian(x, event_ndims=x.shape.rank - 1)
