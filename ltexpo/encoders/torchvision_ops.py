"""A torchvision that does not import beside a CPU build of torch → one that does.

torchvision's wheels register fake kernels for its compiled operators at import. Beside a torch build for which the
compiled library does not load, that raises ``RuntimeError: operator torchvision::nms does not exist``, and open_clip,
timm and transformers' model classes fail with it. Only the detection operators are missing; transforms and models
need none of them. Declaring the two operators that are named at import lets everything else work.
"""

import importlib
import sys

from ltexpo.errors import MissingExtraError

_MESSAGE = "operator torchvision::nms does not exist"
_OPERATORS = {
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def ensure_torchvision() -> bool:
    """Make ``import torchvision`` work in this process; call it before importing open_clip, timm or transformers.

    Returns whether operators had to be declared. Tries the plain import first and mends only the one error described
    above; any other error passes through. Raises `MissingExtraError` when torch or torchvision is not installed.
    """
    try:
        importlib.import_module("torchvision")
        return False
    except ModuleNotFoundError as error:
        raise MissingExtraError("the image encoder", error.name or "torchvision", "model") from error
    except RuntimeError as error:
        if _MESSAGE not in str(error):
            raise
    _declare_operators()
    # The failed import leaves half-initialised modules behind, which a second import would return as they are.
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]
    importlib.import_module("torchvision")
    return True


def _declare_operators() -> None:
    from torch.library import define

    for name, schema in _OPERATORS.items():
        define(name, schema)
