"""A SavedModel as a GPU computes it that rounds float32 products to TensorFloat-32."""

import pathlib
import shutil
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

_OPERANDS = {
    "BatchMatMulV2": (0, 1),
    "Conv2D": (0, 1),
    "Conv2DBackpropInput": (1, 2),
    "Einsum": (0, 1),
    "MatMul": (0, 1),
}
"""Operations that TensorFlow gives to cuBLAS or cuDNN -> which inputs are multiplied."""

_DROPPED = {tf.float32: (tf.int32, 13), tf.float64: (tf.int64, 42)}
"""Type of the operands -> integers of as many bits, and bits of mantissa beyond the tenth."""


def load(path: pathlib.Path, to: pathlib.Path, float64_too: bool = False) -> tf.Module:
    """The SavedModel at `path`, with operands of its products rounded to 10 bits: a copy at `to`.

    Args:
      path: folder.
      to: folder that is not there.
      float64_too: not only those of float32, as if those of float64 had been of float32.
    """
    shutil.copytree(path, to)
    file = to / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    kinds = {kind.as_datatype_enum: kind for kind in list(_DROPPED)[: 1 + float64_too]}
    num_added = 0
    for function in model.meta_graphs[0].graph_def.library.function:
        products = [n for n in function.node_def if n.op in _OPERANDS and n.attr["T"].type in kinds]
        added = [new for n in products for new in _rounded(n, kinds[n.attr["T"].type])]
        num_added += len(added)
        function.node_def.extend(added)
    assert num_added, "nothing in this model is such a product"
    file.write_bytes(model.SerializeToString())
    return tf.saved_model.load(str(to))


def _rounded(node: node_def_pb2.NodeDef, kind: tf.DType) -> Iterator[node_def_pb2.NodeDef]:
    """Puts rounded operands into a product, and gives the nodes that round them."""
    integer, num_bits = _DROPPED[kind]
    for place in _OPERANDS[node.op]:
        name = f"{node.name}_operand{place}"
        bits = _bitcast(f"{name}_bits", node.input[place], kind, integer)
        yield bits
        before = f"{bits.name}:output:0"
        for op, number in (("AddV2", 2 ** (num_bits - 1)), ("BitwiseAnd", -(2**num_bits))):
            constant = node_def_pb2.NodeDef(name=f"{name}_{op}_by", op="Const")
            constant.attr["dtype"].type = integer.as_datatype_enum
            constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(number, integer))
            given = [before, f"{constant.name}:output:0"]
            done = node_def_pb2.NodeDef(name=f"{name}_{op}", op=op, input=given)
            done.attr["T"].type = integer.as_datatype_enum
            yield from (constant, done)
            before = f"{done.name}:z:0"
        yield _bitcast(name, before, integer, kind)
        node.input[place] = f"{name}:output:0"


def _bitcast(name: str, given: str, kind: tf.DType, to: tf.DType) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=name, op="Bitcast", input=[given])
    node.attr["T"].type = kind.as_datatype_enum
    node.attr["type"].type = to.as_datatype_enum
    return node
