"""A catalogue's titles and pictures → encoded per second, beside the bare library, and again from the cache.

Run: python benchmarks/speed_encode.py --data shared/data/hm [--titles 4000] [--pictures 1000] [--precision bf16]
Titles through the MiniLM of the extra 'minilm', pictures through an untrained ViT-B-32 of open_clip (speed does not
depend on the weights), saved to a folder and loaded by path. The bare library gets the same contents in the same
batches (sorted by length), and does what it must: tokens, model, pooling, normalising; decoding with as many threads.
Both sides run in turns, three times; the medians are printed. On a CUDA device the rate of multiplications is also
shown as a share of what a plain matrix product of the same format reaches there.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ltexpo.data.images import load_image
from ltexpo.encoders import ImageEncoder, ImageSettings, TextEncoder, TextSettings, VectorCache
from ltexpo.encoders.device import choose_device


def bare_texts(encoder: TextEncoder, texts: list[str]) -> np.ndarray:
    """What one writes with transformers alone."""
    device, _ = choose_device(encoder.settings)
    model, tokenizer, size = encoder.model_, encoder.tokenizer_, encoder.settings.batch_size
    ids = tokenizer(texts, truncation=True, max_length=encoder.max_tokens)["input_ids"]
    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    vectors = np.zeros((len(texts), encoder.width), np.float32)
    with torch.inference_mode():
        for begin in range(0, len(order), size):
            batch = order[begin : begin + size]
            tokens = tokenizer.pad({"input_ids": [ids[row] for row in batch]}, return_tensors="pt").to(device)
            hidden = model(**tokens).last_hidden_state.float()
            weight = tokens["attention_mask"][..., None]
            mean = (hidden * weight).sum(1) / weight.sum(1)
            vectors[batch] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
    return vectors


def bare_pictures(encoder: ImageEncoder, files: list[Path]) -> np.ndarray:
    """What one writes with open_clip alone and a pool of threads."""
    device, dtype = choose_device(encoder.settings)
    model, preprocess, size = encoder.model_, encoder.preprocess_, encoder.settings.batch_size
    vectors = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, torch.inference_mode():
        waiting = []
        for picture in pool.map(lambda file: preprocess(load_image(file.read_bytes(), None)), files):
            waiting.append(picture)
            if len(waiting) == size:
                vectors.append(encode_batch(model, waiting, device, dtype))
                waiting = []
        if waiting:
            vectors.append(encode_batch(model, waiting, device, dtype))
    return np.concatenate(vectors)


def encode_batch(model: torch.nn.Module, pictures: list[torch.Tensor], device, dtype) -> np.ndarray:
    batch = torch.stack(pictures).to(device, dtype)
    return torch.nn.functional.normalize(model.encode_image(batch).float(), dim=-1).cpu().numpy()


def timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def compare(name: str, count: int, ours: Callable[[], object], bare: Callable[[], object], repeats: int) -> float:
    """Print the rates of both; returns the median seconds of ours."""
    pairs = [(timed(ours), timed(bare)) for _ in range(repeats)]
    mine, theirs = (statistics.median(one[side] for one in pairs) for side in (0, 1))
    print(f"| {name} | {count:,} | {count / mine:,.0f} | {count / theirs:,.0f} | {theirs / mine:.2f} |")
    return mine


def cached(name: str, run: Callable[[VectorCache], object], seconds: float) -> None:
    """Print how much faster a run from a filled cache is; the cache is opened anew."""
    with tempfile.TemporaryDirectory() as folder:
        run(VectorCache(Path(folder)))
        again = statistics.median(timed(lambda: run(VectorCache(Path(folder)))) for _ in range(3))
    print(f"{name}: second run {again:.3f} s, {seconds / again:,.0f} times as fast")


def multiply_rate(device: torch.device, dtype: torch.dtype, side: int = 8_192) -> float:
    """Multiply-adds per second of a plain matrix product on the device."""
    left = torch.randn(side, side, device=device, dtype=dtype)
    for _ in range(3):
        left @ left
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(20):
        left @ left
    torch.cuda.synchronize()
    return 20 * side**3 / (time.perf_counter() - begin)


def text_multiplies(encoder: TextEncoder, texts: list[str]) -> float:
    """Multiply-adds that the model needs for `texts` without padding: linear layers and attention."""
    lengths = np.array([len(ids) for ids in encoder.tokenizer_(texts)["input_ids"]], dtype=float)
    lengths = np.minimum(lengths, encoder.max_tokens)
    linear = sum(
        module.weight.numel() for name, module in encoder.model_.named_modules()
        if isinstance(module, torch.nn.Linear) and "pooler" not in name
    )
    config = encoder.model_.config
    return linear * lengths.sum() + 2 * config.num_hidden_layers * config.hidden_size * (lengths**2).sum()


def save_vit(folder: Path) -> Path:
    """An untrained ViT-B-32 in a folder of open_clip's."""
    from safetensors.torch import save_model

    from ltexpo.encoders.image import open_clip

    with open_clip() as library:
        config = library.get_model_config("ViT-B-32")
        model = library.create_model("ViT-B-32")
    save_model(model, str(folder / "open_clip_model.safetensors"))
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--titles", type=int, default=4_000)
    parser.add_argument("--pictures", type=int, default=1_000)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    titles = pd.read_parquet(options.data / "articles.parquet", columns=["prod_name", "detail_desc"])
    rows = titles.drop_duplicates().sample(options.titles, random_state=0)
    texts = [f"{name}, {text}"[:90] for name, text in rows.itertuples(index=False)]
    files = sorted((options.data / "images").glob("*/*.jpg"))[: options.pictures]
    words = TextEncoder(TextSettings(precision=options.precision))
    device, dtype = choose_device(words.settings)
    print(f"{device}, {dtype}, {torch.get_num_threads()} threads, batches of {words.settings.batch_size}\n")
    print("| | contents | ltexpo / s | bare library / s | ratio |\n| --- | ---: | ---: | ---: | ---: |")
    distinct = sorted(set(texts))
    words.encode(distinct[:200])  # load and warm up
    text_seconds = compare(
        "titles", len(distinct), lambda: words.encode(distinct), lambda: bare_texts(words, distinct), options.repeats
    )
    with tempfile.TemporaryDirectory() as folder:
        pictures = ImageEncoder(ImageSettings(model=str(save_vit(Path(folder))), precision=options.precision))
        contents = [file.relative_to(options.data).as_posix() for file in files]
        pictures.encode(contents[:64], root=options.data)
        picture_seconds = compare(
            "pictures", len(files), lambda: pictures.encode(contents, root=options.data),
            lambda: bare_pictures(pictures, files), options.repeats,
        )
        print()
        cached("titles", lambda cache: words.encode(distinct, cache=cache), text_seconds)
        cached("pictures", lambda cache: pictures.encode(contents, root=options.data, cache=cache), picture_seconds)
    largest = np.abs(words.encode(distinct).vectors - bare_texts(words, distinct)).max()
    print(f"titles: largest difference from the bare library {largest:.1e}")
    if device.type == "cuda":
        share = text_multiplies(words, distinct) / text_seconds / multiply_rate(device, dtype)
        print(f"titles: {100 * share:.1f}% of the matrix units' rate, tokens and copies included")



if __name__ == "__main__":
    main()
