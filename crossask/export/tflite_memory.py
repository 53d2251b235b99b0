"""How much memory the activations of a LiteRT file take, read from the file."""

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

BYTES = {
    schema.TensorType.FLOAT32: 4, schema.TensorType.FLOAT16: 2, schema.TensorType.INT32: 4, schema.TensorType.UINT8: 1,
    schema.TensorType.INT64: 8, schema.TensorType.BOOL: 1, schema.TensorType.INT16: 2, schema.TensorType.COMPLEX64: 8,
    schema.TensorType.INT8: 1,
}  # fmt: skip


def peaks(content: bytes, front_end: str) -> tuple[int, int]:
    """(of the whole file, of its operators after the front-end), estimated, in bytes.

    It is the largest sum of the tensors that are alive at one operator: computed by then and still to be read. The operators
    run one by one in the file's order; a kernel's own scratch space is not in it, and no tensor shares its memory with another.

    Args:
      content: of a file with one subgraph and static shapes.
      front_end: what the names of the front-end's tensors start with.
    """
    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (main,) = graph.subgraphs
    constant = {number for number, tensor in enumerate(main.tensors) if graph.buffers[tensor.buffer].data is not None}
    last = len(main.operators)
    born = dict.fromkeys(main.inputs, 0)
    dies = dict.fromkeys(main.outputs, last)
    for step, operator in enumerate(main.operators):
        for number in operator.outputs:
            born[number] = step
            dies.setdefault(number, step)
        for number in operator.inputs:
            dies[number] = max(step, dies.get(number, 0))
    alive = np.zeros(last, np.int64)
    for number in set(born) - constant:
        tensor = main.tensors[number]
        alive[born[number] : dies[number] + 1] += int(np.prod(tensor.shape)) * BYTES[tensor.type]
    network = [not main.tensors[operator.outputs[0]].name.decode().startswith(front_end) for operator in main.operators]
    return int(alive.max()), int(alive[network].max())
