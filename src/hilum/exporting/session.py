"""Models in ONNX Runtime, on the CPU."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]

from hilum.errors import ClassifierError

#: The version of ONNX's operators: what PyTorch's exporter makes without converting it further,
#: and what ONNX Runtime reads since 1.14 (2023).
OPSET = 18

_ERRORS_ONLY = 3  # of ONNX Runtime's log levels


def start_session(model: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """Load a model. threads: how many compute one operation, at least 1.

    Raises ClassifierError where ONNX Runtime cannot read the model.
    """
    if threads < 1:
        raise ClassifierError(f"ONNX Runtime needs at least 1 thread; got {threads}.")
    options = onnxruntime.SessionOptions()
    # Left alone, it takes every core, whatever the process was given.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait for work would keep a core busy that another network or a decoder needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base but this
        first = str(error).splitlines()[0]
        raise ClassifierError(f"ONNX Runtime cannot read the model ({first}).") from None


def run_session(
    session: onnxruntime.InferenceSession, batch: npt.NDArray[Any]
) -> list[npt.NDArray[Any]]:
    """All outputs of a model with one input."""
    name = session.get_inputs()[0].name
    found: list[npt.NDArray[Any]] = session.run(None, {name: np.ascontiguousarray(batch)})
    return found
