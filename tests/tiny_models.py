"""Models of a few thousand weights, saved as the libraries save theirs, and pictures of every awkward kind."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

WORDS = ("red", "blue", "green", "shirt", "dress", "shoe", "wool", "linen", "long", "short", "a", "x", "👗", "فستان")


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: code for code, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
    ).save_pretrained(folder)


def save_bert(folder: Path, *, max_positions: int = 32, seed: int = 0, spread: float = 0.5) -> Path:
    """A transformers text model of width 16."""
    from ltexpo.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=4 + len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=max_positions, pad_token_id=0, initializer_range=spread,
    )
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_clip(folder: Path, *, seed: int = 0) -> Path:
    """An open_clip model of width 12 with 32-pixel pictures."""
    from ltexpo.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save_model

    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "embed_dim": 12, "custom_text": True,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {
            "context_length": 16, "vocab_size": 4 + len(WORDS), "width": 16, "heads": 2, "layers": 2,
            "hf_tokenizer_name": ".", "pool_type": "eos", "eos_id": 3,
        },
    }
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
    torch.manual_seed(seed)
    model = open_clip.CustomTextCLIP(**{name: config[name] for name in ("embed_dim", "vision_cfg", "text_cfg")})
    save_model(model, str(folder / "open_clip_model.safetensors"))
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    save_tokenizer(folder)
    return folder


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 30), kind: str = "PNG", seed: int = 0) -> bytes:
    """A picture file of noise."""
    channels = {"RGB": 3, "RGBA": 4, "CMYK": 4, "L": 1, "LA": 2}
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65_536, size[::-1], dtype=np.uint16))
    elif mode in ("P", "1"):
        image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).convert(mode)
    else:
        values = rng.integers(0, 256, (*size[::-1], channels[mode]), dtype=np.uint8)
        image = Image.fromarray(values[..., 0] if mode == "L" else values, mode)
    return to_bytes(image, kind)


def to_bytes(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def animation() -> bytes:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of a few hundred bytes that claims 60,000 × 60,000 pixels."""
    def block(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", rows) + block(b"IEND", b"")


AWKWARD = {
    "RGBA": picture("RGBA"), "CMYK": picture("CMYK", kind="JPEG"), "16-bit": picture("I;16"),
    "palette": picture("P", kind="GIF"), "1-bit": picture("1"), "grey": picture("L"), "grey+alpha": picture("LA"),
    "animated": animation(), "one pixel": picture(size=(1, 1)), "strip": picture(size=(3_000, 1)),
    "webp": picture(kind="WEBP"), "tiff": picture("I;16", kind="TIFF"),
}
BROKEN = {
    "text": b"this is no picture", "cut": picture(kind="JPEG")[:200], "bomb": bomb(),
    "header only": b"\x89PNG\r\n\x1a\n",
    "zero bytes": b"\0" * 64,
}
