"""open_clip and transformers' models import after `ensure_torchvision`, whatever build of torch is installed."""

import subprocess
import sys

import pytest

from ltexpo.encoders.torchvision_ops import ensure_torchvision
from ltexpo.errors import MissingExtraError

pytest.importorskip("torch", reason="extra 'model' is not installed")


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    # A process of its own: a failed or mended import would colour every later test of this one.
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)


def test_open_clip_makes_a_model_and_torchvision_transforms_work():
    done = run_python(
        "from ltexpo.encoders.torchvision_ops import ensure_torchvision\n"
        "ensure_torchvision()\n"
        "assert ensure_torchvision() is False\n"
        "import open_clip, torch\n"
        "from torchvision.transforms import v2\n"
        "from transformers import BertConfig, BertModel\n"
        "print(v2.Resize(8)(torch.zeros(3, 16, 16)).shape)\n"
        "print(BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1,"
        " intermediate_size=8, vocab_size=20)).config.hidden_size)\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["torch.Size([3,", "8,", "8])", "8"]


def test_another_import_error_passes_through(monkeypatch: pytest.MonkeyPatch):
    def fail(name: str) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        ensure_torchvision()


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    def fail(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(MissingExtraError, match=r'pip install "ltexpo\[model\]"'):
        ensure_torchvision()
