"""Programs as ONNX files, which onnxruntime and others run."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.export import ExportedProgram

from attar.exporting.ports import Arrays, Block, Port
from attar.exporting.programs import Program
from attar.exporting.translations import Translation, library, quiet, refusing, traced

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

# The versions of ONNX's operators and of those for categories: what current runtimes all have.
OPSET, ML, ML_OPSET = 18, "ai.onnx.ml", 2


class OnnxTranslation(Translation):
    """An ONNX model; categories are strings.

    The networks compute in the precision of attar where onnxruntime can, else in single.
    """

    suffix = ".onnx"

    def __init__(self, program: Program, description: str) -> None:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            library(name, "onnx")
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            self.model = translated(program, description)
            self.session = onnxruntime.InferenceSession(self.model.SerializeToString(), options)
        except NoKernel:  # such as convolutions in double precision
            program.in_single()
            self.model = translated(program, description)
            self.session = onnxruntime.InferenceSession(self.model.SerializeToString(), options)

    def run(self, given: Arrays) -> Arrays:
        """Return the program's outputs."""
        names = [port.name for port in self.session.get_inputs()]
        found: Arrays = self.session.run(None, dict(zip(names, given, strict=True)))
        return found

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_bytes(self.model.SerializeToString())


def translated(program: Program, description: str) -> ModelProto:
    """Return a program as an ONNX model that has its description."""
    from onnx import compose, helper

    exported = traced(program, core=True)
    with quiet(), refusing(program, "an ONNX file"):
        model: ModelProto = _converted(exported, program).model_proto
    # Any name may be that of a column: all others get a prefix that no column has.
    prefix = "attar/"
    while any(port.name.startswith(prefix) for port in (*program.inputs, *program.outputs)):
        prefix = f"_{prefix}"
    compose.add_prefix(model, prefix, inplace=True)
    _connect(model.graph, program, f"{prefix}axis")
    model.opset_import.append(helper.make_opsetid(ML, ML_OPSET))
    model.producer_name, model.producer_version = "attar", version("attar")
    helper.set_model_props(model, {"attar": description})
    return model


def _converted(exported: ExportedProgram, program: Program) -> Any:
    return torch.onnx.export(
        exported,
        (),
        dynamo=True,
        opset_version=OPSET,
        verbose=False,
        input_names=[f"input {i}" for i in range(len(program.blocks))],
        output_names=["output"],
        custom_translation_table=_functions(),
    )


def _functions() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return functions that onnxruntime has in single precision only, or ONNX not at all."""
    from onnxscript import opset18

    op: Any = opset18  # whose types are those of its tensors

    def asinh(x: Any) -> Any:
        size, one = op.Abs(x), op.CastLike(op.Constant(value_float=1.0), x)
        return op.Mul(op.Sign(x), op.Log(op.Add(size, op.Sqrt(op.Add(op.Mul(x, x), one)))))

    def copysign(x: Any, sign: Any) -> Any:
        size, zero = op.Abs(x), op.CastLike(op.Constant(value_float=0.0), x)
        return op.Where(op.Less(sign, zero), op.Neg(size), size)

    return {torch.ops.aten.asinh.default: asinh, torch.ops.aten.copysign.Tensor: copysign}


def _connect(graph: GraphProto, program: Program, axis: str) -> None:
    """Let a graph of blocks take and give their ports, and categories as strings."""
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(np.array([1]), axis))
    before: list[NodeProto] = []
    for value, block in zip(graph.input, program.blocks, strict=True):
        before += _joining(block, value.name, axis)
    nodes = [*before, *graph.node, *_dividing(program.output, graph.output[0].name, axis)]
    for values, blocks in ((graph.input, program.blocks), (graph.output, (program.output,))):
        pairs = list(zip(values, blocks, strict=True))
        described = [one for value, block in pairs for one in _described(value, block)]
        del values[:]
        values.extend(described)
    del graph.node[:]
    graph.node.extend(nodes)


def _described(value: ValueInfoProto, block: Block) -> list[ValueInfoProto]:
    """Return the names, types and shapes of the ports of a block."""
    from onnx import TensorProto, helper

    if not block.columns:
        whole = type(value)()
        whole.CopyFrom(value)
        whole.name = block.ports[0].name
        return [whole]
    return [
        helper.make_tensor_value_info(
            port.name,
            TensorProto.STRING if port.categories is not None else _type(port),
            ["batch"],
        )
        for port in block.ports
    ]


def _joining(block: Block, name: str, axis: str) -> list[NodeProto]:
    """Return the nodes that make the tensor of a block from its ports."""
    from onnx import TensorProto, helper

    if not block.columns:
        return [helper.make_node("Identity", [block.ports[0].name], [name])]
    nodes, columns = [], []
    for i, port in enumerate(block.ports):
        number, index, column = f"{name}/number {i}", f"{name}/index {i}", f"{name}/column {i}"
        if port.categories is not None:
            nodes.append(_label_encoder(port, index))
        given = port.name if port.categories is None else index
        nodes.append(helper.make_node("Cast", [given], [number], to=TensorProto.DOUBLE))
        nodes.append(helper.make_node("Unsqueeze", [number, axis], [column]))
        columns.append(column)
    return [*nodes, helper.make_node("Concat", columns, [name], axis=1)]


def _dividing(block: Block, name: str, axis: str) -> list[NodeProto]:
    """Return the nodes that make the ports of a block from its tensor."""
    from onnx import helper

    if not block.columns:
        return [helper.make_node("Identity", [name], [block.ports[0].name])]
    columns = [f"{name}/column {i}" for i in range(len(block.ports))]
    nodes = [helper.make_node("Split", [name], columns, axis=1, num_outputs=len(columns))]
    for i, (port, column) in enumerate(zip(block.ports, columns, strict=True)):
        number, index = f"{name}/number {i}", f"{name}/index {i}"
        nodes.append(helper.make_node("Squeeze", [column, axis], [number]))
        found = port.name if port.categories is None else index
        nodes.append(helper.make_node("Cast", [number], [found], to=_type(port)))
        if port.categories is not None:
            nodes.append(_label_decoder(port, index))
    return nodes


def _type(port: Port) -> int:
    """Return ONNX's number of the type of a port."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(str(port.dtype).removeprefix("torch."))))


def _label_encoder(port: Port, index: str) -> NodeProto:
    from onnx import helper

    strings, indices = zip(*port.codes.items(), strict=True)
    return helper.make_node(
        "LabelEncoder",
        [port.name],
        [index],
        domain=ML,
        keys_strings=strings,
        values_int64s=indices,
        default_int64=len(port.categories or ()),
    )


def _label_decoder(port: Port, index: str) -> NodeProto:
    from onnx import helper

    return helper.make_node(
        "LabelEncoder",
        [index],
        [port.name],
        domain=ML,
        keys_int64s=range(len(port.categories or ())),
        values_strings=port.categories,
        default_string=port.other,
    )
