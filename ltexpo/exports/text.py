"""Lists → JSON text, one string a list, made column by column."""

import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ltexpo.exports.lists import TEXT, ListBatch


def quoted(values: pa.Array) -> pa.Array:
    """Each string as JSON writes it."""
    return pa.array([json.dumps(value, ensure_ascii=False) for value in values.to_pylist()], TEXT)


def list_texts(batch: ListBatch, quoted_ids: pa.Array) -> pa.Array:
    """(L,) each list as a JSON array: of item_ids, or of objects with rank, item_id, score and price.

    `quoted_ids`: the catalogue's ids as JSON writes them.
    """
    entries = quoted_ids.take(pa.array(batch.items))
    if batch.scores is not None and batch.prices is not None:
        entries = glue(
            '{"rank":', _digits(batch.ranks), ',"item_id":', entries, ',"score":', _digits(batch.scores),
            ',"price":', _digits(batch.prices), "}",
        )
    lists = pa.LargeListArray.from_arrays(pa.array(batch.offsets), entries)
    return glue("[", pc.binary_join(lists, pa.scalar(",", TEXT)), "]")


def glue(*parts: str | pa.Array) -> pa.Array:
    """Strings and columns of strings, one after the other."""
    columns = [pa.scalar(part, TEXT) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*columns, pa.scalar("", TEXT))


def sizes(texts: pa.Array) -> pa.Array:
    """How many bytes each string has, in digits."""
    return pc.cast(pc.binary_length(texts), TEXT)


def content(texts: pa.Array) -> memoryview:
    """All strings, one after the other, as bytes."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])]


def _digits(numbers: npt.NDArray[np.number]) -> pa.Array:
    """The shortest digits that read back as the same number of this precision."""
    return pc.cast(pa.array(numbers), TEXT)
