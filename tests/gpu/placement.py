"""Where TensorFlow puts what a step computes: nothing heavy on the host, no round trips to it.

Read from the graphs that run, after placement and division among devices. Without XLA, whose
programs are one operation each.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterable

import tensorflow as tf
from tensorflow.python.eager import context  # the public way to these graphs writes event files

from tests.gpu import fixed, machine
from tests.gpu.table import Row
from tfp_ood import models
from tfp_ood.config import TrainConfig
from tfp_ood.training import optimizers

PART = "placement"

HEAVY = ("Conv2D", "MatMul", "Einsum", "ResourceApply")
"""What is in the names of operations that belong on the device; fused ones have it too."""

PROCESS_BOUND = ("PyFunc", "PyFuncStateless", "EagerPyFunc")

ALLOWED = {
    "_Arg",
    "_DeviceArg",
    "_DeviceRetval",
    "_HostRecv",
    "_HostSend",
    "_Recv",
    "_Retval",
    "_Send",
    "Assert",
    "Cast",
    "Const",
    "Enter",
    "Exit",
    "HostConst",
    "Identity",
    "LoopCond",
    "Merge",
    "NextIteration",
    "NoOp",
    "Placeholder",
    "StatelessRandomGetKeyCounter",
    "Switch",
    "VarHandleOp",
}
"""Operations that may be on the host: what carries tensors, constants, and loops' bookkeeping."""

_FLOATS = {tf.float16, tf.bfloat16, tf.float32, tf.float64}
_TYPE_ATTRS = ("T", "dtype", "tensor_type", "DstT")


@dataclasses.dataclass(frozen=True)
class Node:
    """What is looked at of a node of a graph that ran."""

    op: str
    device: str
    """GPU or CPU."""
    is_float: bool
    name: str = ""
    receiver: str = ""
    """Of a `_Send`, the kind of device that it sends to."""

    @property
    def leaves_for_host(self) -> bool:
        """Whether it sends numbers that are computed with from the device to the host."""
        return self.op == "_Send" and self.receiver == "CPU" and self.is_float


def nodes_of(call: Callable[[], object]) -> list[Node]:
    """All nodes of the graphs that a call runs; of functions that were not called before."""
    running = context.context()
    running.ensure_initialized()
    running.enable_graph_collection()
    try:
        call()
        metadata = running.export_run_metadata()
    finally:
        running.disable_graph_collection()
    found = []
    for function in metadata.function_graphs:
        for graph in function.partition_graphs:
            library = (node for one in graph.library.function for node in one.node_def)
            found += [_node(node) for node in [*graph.node, *library]]
    return found


def _node(node: tf.compat.v1.NodeDef) -> Node:
    types = (node.attr[key].type for key in _TYPE_ATTRS if key in node.attr)
    floats = any(tf.as_dtype(kind) in _FLOATS for kind in types if kind)
    receiver = node.attr["recv_device"].s.decode() if "recv_device" in node.attr else ""
    return Node(node.op, _kind(node.device), floats, node.name, _kind(receiver))


def _kind(device: str) -> str:
    """GPU, CPU or "", of a device's full name."""
    return next((kind for kind in ("GPU", "CPU") if f":{kind}:" in device.upper()), "")


def is_heavy(node: Node) -> bool:
    """Whether it belongs on the device."""
    return any(name in node.op for name in HEAVY)


def misplaced(nodes: Iterable[Node], kind: str) -> list[str]:
    """What is wrong of the nodes of a step, in words; empty if nothing is.

    Args:
      nodes: of all graphs of the step.
      kind: of device, GPU or CPU, that the step should run on.
    """
    nodes, wrong = list(nodes), collections.Counter()
    if not any(is_heavy(node) and node.device in (kind, "") for node in nodes):
        wrong["no convolution or matrix product seen"] += 1
    for node in nodes:
        if node.op in PROCESS_BOUND:
            wrong[f"{node.op} calls back into Python"] += 1
        elif kind == "GPU" and node.device == "GPU" and node.leaves_for_host:
            wrong["numbers sent to the host"] += 1
        elif kind == "GPU" and node.device == "CPU" and _is_too_much(node):
            wrong[f"{node.op} on the host"] += 1
    return [f"{what} ({count})" if count > 1 else what for what, count in wrong.items()]


def _is_too_much(node: Node) -> bool:
    """Whether a node computes on the host what it should not: integers of shapes are its own."""
    return is_heavy(node) or (node.is_float and node.op not in ALLOWED)


def row(what: str, nodes: list[Node], kind: str) -> Row:
    """A row on one step."""
    wrong = misplaced(nodes, kind)
    on_host = sum(node.device == "CPU" for node in nodes)
    found = "; ".join(wrong) or f"{len(nodes)} nodes, {on_host} on the host"
    return Row(PART, what, found, f"all on the {kind}", not wrong)


def training_step(model: models.LikelihoodModel) -> Callable[[], object]:
    """A step as Keras would run it, not yet traced."""
    model.compile(optimizer=optimizers.build(TrainConfig()), jit_compile=False)
    batch = tf.constant(fixed.images())
    step = tf.function(lambda images: model.train_step({"image": images}), autograph=False)
    return lambda: step(batch)


def scoring_step(model: models.LikelihoodModel) -> Callable[[], object]:
    """Scores a batch."""
    batch = tf.constant(fixed.images())
    return lambda: model.statistics(batch)


def prepare(smoke: bool) -> Callable[[], list[Row]]:
    """See `parts`."""
    names = list(fixed.MODELS)[:1] if smoke else list(fixed.MODELS)
    rows = []
    for name in names:
        model = fixed.model(name)
        for what, step in (("scoring", scoring_step), ("training", training_step)):
            nodes = nodes_of(step(model))
            rows.append(row(f"{name}: a step of {what}", nodes, machine.kind()))
    return lambda: rows
