"""'auto' → the device and the number format that a model runs in."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ltexpo.config import Settings
from ltexpo.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]


class RunSettings(Settings):
    """Where and how a neural encoder runs."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """auto: the first CUDA device if there is one, else the CPU; or cpu, cuda, cuda:1 …"""
    precision: Precision = "auto"
    """auto: bf16 on CUDA, fp32 on the CPU. bf16 is about 3 times as fast on CPUs that multiply it (AVX512-BF16, AMX)
    and moves a cosine by about 0.01."""
    batch_size: int = Field(64, ge=1)
    """Contents that the model sees at once."""


def choose_device(settings: RunSettings) -> "tuple[torch.device, torch.dtype]":
    """The device and the format of the weights; raises `ConfigError` when the device is not there."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtraError("this encoder", "torch", "model") from error

    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"'device' is '{name}': {torch.cuda.device_count()} CUDA devices are here. Set device: auto.")
    low = settings.precision == "bf16" or (settings.precision == "auto" and device.type == "cuda")
    return device, torch.bfloat16 if low else torch.float32
