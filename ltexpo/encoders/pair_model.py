"""Settings → an untrained small CLIP, and the folder that it and its tokenizer are kept in.

The model is open_clip's own, so the folder is one of open_clip's: `ImageEncoder.load` reads it, and so does
open_clip with `local-dir:`.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model
from tokenizers import Tokenizer

from ltexpo.data.files import replacing, write_json
from ltexpo.encoders.image import CONFIG_FILE, WEIGHTS_FILE, open_clip
from ltexpo.encoders.pair_settings import PairModel
from ltexpo.encoders.wordpiece import END

MEAN = STD = 0.5
"""Pictures in 0..1 are shifted and scaled by these."""


def token_ids(tokenizer: Tokenizer, texts: list[str], context: int) -> torch.Tensor:
    """(n, context) int64, cut and padded."""
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(length=context)
    return torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(texts)], dtype=torch.int64)


def pair_config(settings: PairModel, vocabulary: int) -> dict[str, Any]:
    """open_clip's `model_cfg`: a convolutional image tower, a causal text tower read at the end of the text."""
    return {
        "embed_dim": settings.width,
        "custom_text": True,
        "vision_cfg": {
            "timm_model_name": settings.image_model, "timm_model_pretrained": False, "timm_pool": "avg",
            "timm_proj": "linear", "image_size": settings.image_size,
        },
        "text_cfg": {
            "context_length": settings.context, "vocab_size": vocabulary, "hf_tokenizer_name": ".",
            "width": settings.text_width, "heads": max(1, settings.text_width // 32), "layers": settings.text_layers,
            "pool_type": "eos", "eos_id": END,
        },
    }


def new_model(config: dict[str, Any]) -> torch.nn.Module:
    """The model with weights drawn from torch's generator."""
    with open_clip() as library:
        model: torch.nn.Module = library.CustomTextCLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])
    return model


def write_pair(folder: Path, config: dict[str, Any], model: torch.nn.Module, tokenizer: Tokenizer) -> None:
    """open_clip_config.json, open_clip_model.safetensors and the tokenizer's files, into `folder`."""
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {
        "mean": [MEAN] * 3, "std": [STD] * 3, "interpolation": "bilinear", "resize_mode": "squash",
    }
    write_json({"model_cfg": config, "preprocess_cfg": preprocess}, folder / CONFIG_FILE)
    with replacing(folder / WEIGHTS_FILE) as beside:
        save_model(model, str(beside))
    # Cutting and padding are the encoder's to ask for, not the tokenizer file's.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
    ).save_pretrained(folder)
