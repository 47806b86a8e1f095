"""The tokenizer's vocabulary: by hand, against a naive loop, and the same every time."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="extra 'model' is not installed")
from ltexpo.encoders.wordpiece import learn_pieces, train_tokenizer


def naive(words: Counter[str], size: int) -> list[str]:
    split = {word: [letter if place == 0 else "##" + letter for place, letter in enumerate(word)] for word in words}
    letters: Counter[str] = Counter()
    for word, symbols in split.items():
        for symbol in symbols:
            letters[symbol] += words[word]
    pieces = sorted(letters, key=lambda letter: (-letters[letter], letter))[:size]
    while len(pieces) < size:
        count: Counter[tuple[str, str]] = Counter()
        for word, symbols in split.items():
            for pair in pairwise(symbols):
                count[pair] += words[word]
        if not count:
            break
        best = min(count, key=lambda pair: (-count[pair], pair))
        if count[best] < 2:
            break
        joined = best[0] + best[1].removeprefix("##")
        for symbols in split.values():
            place = 0
            while place < len(symbols) - 1:
                if (symbols[place], symbols[place + 1]) == best:
                    symbols[place : place + 2] = [joined]
                place += 1
        if joined not in pieces:
            pieces.append(joined)
    return pieces


def test_pieces_by_hand():
    # ab + ##c stands 3 times, as often as a + ##b after it was counted 5 times and joined first
    assert learn_pieces(Counter({"abc": 3, "ab": 2}), 10) == ["##b", "a", "##c", "ab", "abc"]
    assert learn_pieces(Counter({"abc": 3, "ab": 2}), 2) == ["##b", "a"]


@pytest.mark.parametrize("seed", range(12))
def test_pieces_are_those_of_a_naive_loop(seed: int):
    rng = np.random.default_rng(seed)
    words = Counter({"".join(rng.choice(list("abca"), rng.integers(1, 9))): int(rng.integers(1, 5)) for _ in range(40)})
    assert learn_pieces(words, 45) == naive(words, 45)


def test_the_same_texts_give_the_same_tokenizer():
    texts = [f"Strap top {number} Café" for number in range(30)]
    first, again = (train_tokenizer(texts, 60) for _ in range(2))
    assert first.to_str() == again.to_str()
    ids = first.encode("STRAP cafe")
    assert ids.tokens == ["[CLS]", "strap", "cafe", "[SEP]"]
    assert first.encode("☃").tokens == ["[CLS]", "[UNK]", "[SEP]"]
