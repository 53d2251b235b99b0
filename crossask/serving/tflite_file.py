"""The graph in a LiteRT file: which tensors its operators read and write, and what that costs."""

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

BYTES = {
    schema.TensorType.FLOAT32: 4,
    schema.TensorType.FLOAT16: 2,
    schema.TensorType.INT32: 4,
    schema.TensorType.UINT8: 1,
    schema.TensorType.INT64: 8,
    schema.TensorType.BOOL: 1,
    schema.TensorType.INT16: 2,
    schema.TensorType.COMPLEX64: 8,
    schema.TensorType.INT8: 1,
}


def peaks(content: bytes, front_end: str) -> tuple[int, int]:
    """(of the whole file, of its operators after the front-end), estimated memory of activations in bytes.

    It is the largest sum of the tensors that are alive at one operator: computed by then and still to be read. The operators
    run one by one in the file's order; a kernel's own scratch space is not in it, and no tensor shares its memory with another.

    Args:
      content: of a file with one subgraph and static shapes.
      front_end: what the names of the front-end's tensors start with.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    (graph,) = model.subgraphs
    last = len(graph.operators)
    born, dies = dict.fromkeys(graph.inputs, 0), dict.fromkeys(graph.outputs, last)
    for step, operator in enumerate(graph.operators):
        for number in operator.outputs:
            born[number] = step
            dies.setdefault(number, step)
        for number in operator.inputs:
            dies[number] = max(step, dies.get(number, 0))
    alive = np.zeros(last, np.int64)
    for number, step in born.items():
        tensor = graph.tensors[number]
        alive[step : dies[number] + 1] += int(np.prod(tensor.shape)) * BYTES[tensor.type]
    network = [
        not _name(graph, operator.outputs[0]).startswith(front_end) for operator in graph.operators
    ]
    return int(alive.max()), int(alive[network].max())


def without_ranges(content: bytes, front_end: str) -> bytes:
    """A calibrated file that has forgotten which values the front-end's tensors take, but for those that the network reads."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    (graph,) = model.subgraphs
    network = [
        operator
        for operator in graph.operators
        if not _name(graph, operator.outputs[0]).startswith(front_end)
    ]
    kept = {number for operator in network for number in operator.inputs}
    for number, tensor in enumerate(graph.tensors):
        if number in graph.inputs or (
            number not in kept and _name(graph, number).startswith(front_end)
        ):
            tensor.quantization = None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def with_float_tables(content: bytes, float_content: bytes, front_end: str) -> bytes:
    """A file with float16 constants whose front-end has its float32 ones back, as they stand in `float_content`."""
    model, exact = (
        flatbuffer_utils.convert_bytearray_to_object(bytearray(one))
        for one in (content, float_content)
    )
    (graph,), (exact_graph,) = model.subgraphs, exact.subgraphs
    originals = {
        _name(exact_graph, operator.outputs[0]): operator for operator in exact_graph.operators
    }
    # in such a file every constant is read through an operator that widens it
    widening = {
        operator.outputs[0]: operator
        for operator in graph.operators
        if _kind(model, operator) == schema.BuiltinOperator.DEQUANTIZE
    }
    done = set()
    for operator in graph.operators:
        name = _name(graph, operator.outputs[0])
        if not name.startswith(front_end) or operator.outputs[0] in widening:
            continue
        for place, number in enumerate(operator.inputs):
            if number not in widening:
                continue
            constant = operator.inputs[place] = widening[number].inputs[0]
            original = exact_graph.tensors[originals[name].inputs[place]]
            graph.tensors[constant].type = schema.TensorType.FLOAT32
            model.buffers[graph.tensors[constant].buffer].data = exact.buffers[original.buffer].data
            done.add(number)
    graph.operators = [operator for operator in graph.operators if operator.outputs[0] not in done]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def outputs_of(content: bytes, kind: int) -> list[str]:
    """Names of what the operators of a kind (schema.BuiltinOperator) write."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    (graph,) = model.subgraphs
    return [
        _name(graph, operator.outputs[0])
        for operator in graph.operators
        if _kind(model, operator) == kind
    ]


def _kind(model, operator) -> int:
    return model.operatorCodes[operator.opcodeIndex].builtinCode


def _name(graph, number: int) -> str:
    return graph.tensors[number].name.decode()
