"""Programs as ONNX files, which onnxruntime and others run."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.export import ExportedProgram

from attar.exporting.ports import Arrays, Port
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

    exported = traced(program)
    with quiet(), refusing(program, "an ONNX file"):
        model: ModelProto = _converted(exported, program).model_proto
    # Any name may be that of a column: all others get a prefix that no column has.
    prefix = "attar/"
    while any(port.name.startswith(prefix) for port in (*program.inputs, *program.outputs)):
        prefix = f"_{prefix}"
    compose.add_prefix(model, prefix, inplace=True)
    _name(model.graph, program)
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
        input_names=[f"input {i}" for i in range(len(program.inputs))],
        output_names=[f"output {i}" for i in range(len(program.outputs))],
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


def _name(graph: GraphProto, program: Program) -> None:
    """Give inputs and outputs the names of their ports, and categories as strings."""
    names: dict[str, str] = {}
    encoders, decoders = [], []
    for port, value in zip(program.inputs, graph.input, strict=True):
        if port.categories is None:
            names[value.name] = value.name = port.name
        else:
            encoders.append(_label_encoder(port, value.name))
            value.CopyFrom(_strings(port))
    for port, value in zip(program.outputs, graph.output, strict=True):
        if port.categories is None:
            names[value.name] = value.name = port.name
        else:
            decoders.append(_label_decoder(port, value.name))
            value.CopyFrom(_strings(port))
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    nodes = [*encoders, *graph.node, *decoders]
    del graph.node[:]
    graph.node.extend(nodes)


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


def _strings(port: Port) -> ValueInfoProto:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(port.name, TensorProto.STRING, ["batch"])
