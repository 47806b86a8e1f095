"""'auto' → the device and the number format that a model runs in."""

from importlib.metadata import PackageNotFoundError, version
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


def chosen_precision(settings: RunSettings) -> str:
    """'bf16' or 'fp32'; brings torch, which takes seconds, only where the device is to be found out."""
    if settings.precision != "auto":
        return settings.precision
    if settings.device == "cpu" or (settings.device == "auto" and _built_without_cuda()):
        return "fp32"
    return "bf16" if choose_device(settings)[0].type == "cuda" else "fp32"


def _built_without_cuda() -> bool:
    """Whether the torch that is installed is the one for CPUs only, as its version says."""
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False


def multiplies_bf16() -> bool:
    """Whether this machine's CPU has instructions that multiply bfloat16; without them it is slower than float32."""
    import torch

    ask = getattr(torch.cpu, "get_capabilities", None)  # of torch from 2.12 on
    able = ask() if ask is not None else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
