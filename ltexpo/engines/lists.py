"""Final lists on executors → parts of rankings, control and promotions, which every executor writes for its blocks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltexpo.data.batches import batch_writer
from ltexpo.data.ids import IdMap
from ltexpo.engines.blocks import Block
from ltexpo.engines.passes import Blocks, Ints, Made, SparkTask, own_rows
from ltexpo.errors import OutputError, unwritable
from ltexpo.rerank.lists import PROMOTIONS, CodedLists, list_schema
from ltexpo.rerank.passes import ALL
from ltexpo.rerank.rows import count_promoted
from ltexpo.rerank.task import Boosts

PART = "part-{:05}.parquet"
WRITTEN = "part int, rows long"


@dataclass(frozen=True, eq=False)
class SparkLists:
    """`ListTables` of lists on executors."""

    task: SparkTask
    item_ids: IdMap
    users: bool
    slots: Made
    plain: Made
    boosts: Boosts
    paying: npt.NDArray[np.object_]

    @cached_property
    def n_promoted(self) -> int:
        """Promotions of all lists."""

        def promoted(block: Block, first: int, told: Any) -> tuple[Ints, int, int]:
            slots, plain, boosts = told
            rows, count = own_rows(block, first), np.zeros(block.n_lists, np.int16)
            count_promoted(block.lists, slots.of(block.lists, rows), plain.of(block.lists, rows), boosts, count)
            return ALL, int(count.sum(dtype=np.int64)), 0

        return self.blocks.sums(promoted, (self.slots, self.plain, self.boosts), 0).value

    @property
    def blocks(self) -> Blocks:
        """Where the lists lie."""
        return self.task.blocks

    @property
    def rankings_schema(self) -> pa.Schema:
        """Columns of `rankings` and `control`."""
        return list_schema(users=self.users)

    @property
    def promotions_schema(self) -> pa.Schema:
        """Columns of `promotions`."""
        return PROMOTIONS

    def rankings(self) -> Iterator[pa.RecordBatch]:
        """The final lists, by request and rank, block by block to the driver."""
        return self._batches(CodedLists.rankings)

    def control(self) -> Iterator[pa.RecordBatch]:
        """The plain lists."""
        return self._batches(CodedLists.control)

    def promotions(self) -> Iterator[pa.RecordBatch]:
        """One row per promoted item."""
        return self._batches(CodedLists.promotions)

    def write(self, rankings: Path, control: Path, promotions: Path, *, noted: Mapping[str, Any]) -> None:
        """All three as folders of Parquet parts, one a partition; every executor must see these paths.

        A part has its name once it is whole, so a task that is tried again writes it again.
        """
        for folder in (rankings, control, promotions):
            try:
                folder.mkdir()
            except OSError as error:
                raise unwritable(folder, error) from error
        outputs = [
            (rankings, self.rankings_schema, CodedLists.rankings, noted),
            (control, self.rankings_schema, CodedLists.control, noted),
            (promotions, PROMOTIONS, CodedLists.promotions, {}),
        ]

        def write(blocks: Iterator[tuple[Block, int]], told: Any) -> Iterator[dict[str, Any]]:
            made, *lists = told
            with ExitStack() as stack:
                writers: list[Callable[[pa.RecordBatch], None]] = []
                part, rows = -1, 0
                for block, first in blocks:
                    part = block.part
                    if not writers:
                        writers = [
                            stack.enter_context(batch_writer(schema, folder / PART.format(part), metadata=kept))
                            for folder, schema, _, kept in made
                        ]
                    coded = _coded(block, first, *lists)
                    for writer, (_, _, batches, _) in zip(writers, made, strict=True):
                        for batch in batches(coded):
                            writer(batch)
                    rows += block.n_lists
            yield {"part": part, "rows": rows}

        told = (outputs, self.item_ids, self.slots, self.plain, self.boosts, self.paying)
        written = self.blocks.run(write, WRITTEN, told).to_pylist()
        refuse_unseen([
            folder / PART.format(row["part"]) for row in written if row["rows"] for folder, *_ in outputs
        ])

    def _batches(self, batches: Callable[[CodedLists], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        for block, first in self.blocks.local():
            yield from batches(_coded(block, first, self.item_ids, self.slots, self.plain, self.boosts, self.paying))


def _coded(
    block: Block, first: int, item_ids: IdMap, slots: Made, plain: Made, boosts: Boosts,
    paying: npt.NDArray[np.object_],
) -> CodedLists:
    rows = own_rows(block, first)
    return CodedLists(
        block.lists, slots.of(block.lists, rows), plain.of(block.lists, rows), boosts, paying, item_ids,
        block.requests, block.users,
    )


def refuse_unseen(written: Sequence[Path]) -> None:
    """Raise `OutputError` when a file that an executor wrote is not seen here."""
    missing = next((path for path in written if not path.exists()), None)
    if missing is not None:
        raise OutputError(
            f"{missing}: was written by an executor, but this machine does not see it. Give a folder on a file system "
            "that all of them share."
        )
