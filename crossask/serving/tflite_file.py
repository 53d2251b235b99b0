"""Reads and edits the graph inside a LiteRT file: its operators and the tensors between them.

A graph contains operators in the order in which they run, and a list of tensors. An operator refers
to its inputs and outputs by their positions in that list.
"""

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

# Event models of others compute in any of these types.
BYTES = {
    schema.TensorType.FLOAT32: 4,
    schema.TensorType.FLOAT16: 2,
    schema.TensorType.FLOAT64: 8,
    schema.TensorType.BFLOAT16: 2,
    schema.TensorType.COMPLEX64: 8,
    schema.TensorType.COMPLEX128: 16,
    schema.TensorType.BOOL: 1,
    schema.TensorType.INT8: 1,
    schema.TensorType.UINT8: 1,
    schema.TensorType.INT16: 2,
    schema.TensorType.UINT16: 2,
    schema.TensorType.INT32: 4,
    schema.TensorType.UINT32: 4,
    schema.TensorType.INT64: 8,
    schema.TensorType.UINT64: 8,
}


def peak_bytes(content: bytes, front_end: str) -> tuple[int, int]:
    """Estimates the peak memory of activations.

    It is the largest sum, over all operators, of the sizes of the tensors that are alive: computed
    already and still to be read. The scratch memory of kernels is not counted, and no two tensors
    are assumed to share memory.

    Args:
      content: A file with one graph and static shapes.
      front_end: Start of the names of the front-end's tensors.

    Returns:
      The peak over all operators, and the peak over those after the front-end, in bytes.
    """
    model = _parse(content)
    (graph,) = model.subgraphs
    alive_bytes = np.zeros(len(graph.operators), np.int64)
    for number, (first, last) in _lifetimes(graph).items():
        tensor = graph.tensors[number]
        elements = int(np.prod(tensor.shape))
        alive_bytes[first : last + 1] += elements * BYTES[tensor.type]
    is_network = []
    for operator in graph.operators:
        is_network.append(not _output_name(graph, operator).startswith(front_end))
    whole_peak = alive_bytes.max()
    network_peak = alive_bytes[is_network].max()
    return int(whole_peak), int(network_peak)


def without_ranges(content: bytes, front_end: str) -> bytes:
    """Returns a calibrated file without the value ranges of the front-end's tensors.

    Tensors that the network reads keep their ranges.

    Args:
      content: The calibrated file.
      front_end: Start of the names of the front-end's tensors.
    """
    model = _parse(content)
    (graph,) = model.subgraphs
    # The network's quantisation starts with these tensors, so it needs their ranges.
    read_by_network = set()
    for operator in graph.operators:
        if not _output_name(graph, operator).startswith(front_end):
            read_by_network.update(operator.inputs)
    for number, tensor in enumerate(graph.tensors):
        is_front_end = _name(graph, number).startswith(front_end)
        is_internal = is_front_end and number not in read_by_network
        if is_internal or number in graph.inputs:
            tensor.quantization = None
    return _serialise(model)


def with_float_constants(content: bytes, float_content: bytes, front_end: str) -> bytes:
    """Returns a float16 file with the front-end's constants in float32 again.

    Args:
      content: The file with its constants in float16.
      float_content: The same model with its constants in float32.
      front_end: Start of the names of the front-end's tensors.
    """
    model = _parse(content)
    float_model = _parse(float_content)
    (graph,) = model.subgraphs
    (float_graph,) = float_model.subgraphs
    # Operators have the same names in both files, but other positions.
    float_operators = {}
    for operator in float_graph.operators:
        float_operators[_output_name(float_graph, operator)] = operator

    # In a float16 file, each constant is read through an operator that converts it to float32.
    converters = {}
    for operator in graph.operators:
        if _kind(model, operator) == schema.BuiltinOperator.DEQUANTIZE:
            converters[operator.outputs[0]] = operator

    # Let the front-end's operators read their constants directly, with the float32 values.
    unused = set()
    for operator in graph.operators:
        name = _output_name(graph, operator)
        if not name.startswith(front_end) or operator.outputs[0] in converters:
            continue
        for position, number in enumerate(operator.inputs):
            if number not in converters:
                continue
            constant_number = converters[number].inputs[0]
            constant = graph.tensors[constant_number]
            float_number = float_operators[name].inputs[position]
            float_constant = float_graph.tensors[float_number]
            float_values = float_model.buffers[float_constant.buffer].data
            operator.inputs[position] = constant_number
            constant.type = schema.TensorType.FLOAT32
            model.buffers[constant.buffer].data = float_values
            unused.add(number)
    graph.operators = [op for op in graph.operators if op.outputs[0] not in unused]
    return _serialise(model)


def output_names(content: bytes, kind: int) -> list[str]:
    """Returns the names of the first outputs of all operators of one kind.

    Args:
      content: The file.
      kind: A value of schema.BuiltinOperator.
    """
    model = _parse(content)
    (graph,) = model.subgraphs
    return [_output_name(graph, op) for op in graph.operators if _kind(model, op) == kind]


def _lifetimes(graph: schema.SubGraphT) -> dict[int, tuple[int, int]]:
    """Returns the first and the last operator during which each activation is alive."""
    operators = len(graph.operators)
    first = {}
    last = {}
    # The graph's inputs exist before the first operator, and its outputs after the last one.
    for number in graph.inputs:
        first[number] = 0
    for number in graph.outputs:
        last[number] = operators
    for step, operator in enumerate(graph.operators):
        for number in operator.outputs:
            first[number] = step
            # An output that nothing reads is alive while it is computed.
            last.setdefault(number, step)
        for number in operator.inputs:
            last[number] = max(step, last.get(number, 0))
    # Constants are inputs of operators, too, but nothing computes them.
    return {number: (step, last[number]) for number, step in first.items()}


def _parse(content: bytes) -> schema.ModelT:
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(content))


def _serialise(model: schema.ModelT) -> bytes:
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _kind(model: schema.ModelT, operator: schema.OperatorT) -> int:
    """Returns the operator's value of schema.BuiltinOperator."""
    return model.operatorCodes[operator.opcodeIndex].builtinCode


def _output_name(graph: schema.SubGraphT, operator: schema.OperatorT) -> str:
    return _name(graph, operator.outputs[0])


def _name(graph: schema.SubGraphT, number: int) -> str:
    return graph.tensors[number].name.decode()
