"""The catalogue's texts → a WordPiece tokenizer, the same for the same texts.

The vocabulary grows by joining the commonest neighbouring pieces (Sennrich et al., 2016), as the trainer of the
`tokenizers` library does. That trainer breaks ties by the order of a randomly seeded hash table, so two runs give two
vocabularies; here the pair that sorts first wins. Everything else is the library's.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
END = SPECIAL.index("[SEP]")
_INSIDE = "##"
"""Before a piece that does not begin a word."""


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer in lower case without accents, with `size` pieces at most; a text becomes [CLS] … [SEP]."""
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    pieces = [*SPECIAL, *learn_pieces(words, size - len(SPECIAL))]
    tokenizer = Tokenizer(models.WordPiece({piece: code for code, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", SPECIAL.index("[CLS]")), ("[SEP]", END)]
    )
    return tokenizer


def learn_pieces(words: Counter[str], size: int) -> list[str]:
    """Pieces for `words` (word → how often): the commonest letters, then joined pieces in the order they were found.

    Ends early when every pair of neighbours that is left stands in one place only.
    """
    order = sorted(words)
    split = [[letter if place == 0 else _INSIDE + letter for place, letter in enumerate(word)] for word in order]
    letters: Counter[str] = Counter()
    for word, symbols in zip(order, split, strict=True):
        for symbol in symbols:
            letters[symbol] += words[word]
    pieces = sorted(letters, key=lambda letter: (-letters[letter], letter))[:size]
    known = set(pieces)
    count: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for number, symbols in enumerate(split):
        for pair in pairwise(symbols):
            count[pair] += words[order[number]]
            where[pair].add(number)
    heap = [(-often, pair) for pair, often in count.items()]
    heapq.heapify(heap)
    while heap and len(pieces) < size:
        negative, pair = heapq.heappop(heap)
        if count[pair] != -negative:
            continue  # an old entry: the pair has been counted again since
        if count[pair] < 2:
            break
        joined = pair[0] + pair[1].removeprefix(_INSIDE)
        changed = set()
        for number in sorted(where.pop(pair)):
            before, after = split[number], _join(split[number], pair, joined)
            for sign, symbols in ((-1, before), (1, after)):
                for near in pairwise(symbols):
                    count[near] += sign * words[order[number]]
                    where[near].add(number)
                    changed.add(near)
            split[number] = after
        count[pair] = 0
        for near in changed - {pair}:
            if count[near] > 0:
                heapq.heappush(heap, (-count[near], near))
        if joined not in known:
            known.add(joined)
            pieces.append(joined)
    return pieces


def _join(symbols: list[str], pair: tuple[str, str], joined: str) -> list[str]:
    """`symbols` with every occurrence of `pair`, from the left, made one."""
    out: list[str] = []
    place = 0
    while place < len(symbols):
        if tuple(symbols[place : place + 2]) == pair:
            out.append(joined)
            place += 2
        else:
            out.append(symbols[place])
            place += 1
    return out
