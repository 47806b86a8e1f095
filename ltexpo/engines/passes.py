"""Blocks of lists on executors → the passes of a `Task`: each is one `mapInArrow` with the local engine's kernels.

What a pass needs (boosts, changed lists) is broadcast; what comes back is one row of partial sums a partition, rated
lists, or the few lists that were asked for. The slots of all lists are never kept: they follow from boosts, and only
lists that mending or refunds changed are held as they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltexpo.engines.blocks import BLOCKS, Block, arrow_schema, blocks_of, from_bytes
from ltexpo.errors import InputError
from ltexpo.rerank.fixed import fixed_sum, sum_scale
from ltexpo.rerank.kernels import choose, choose_plain
from ltexpo.rerank.moves import Search, apply_moves
from ltexpo.rerank.passes import (
    ALL,
    Slots,
    count_pins,
    list_exposure,
    narrowest,
    rated,
    spread,
    sum_best,
    sum_extremes,
    sum_lists,
)
from ltexpo.rerank.problem import Problem
from ltexpo.rerank.selection import Lists
from ltexpo.rerank.task import Boosts, Chosen, Scales, Sums, Task
from ltexpo.rerank.workspace import GB

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SUMS = "table binary, value long, clicks long"
RATED = "first long, rows binary, rates binary"
GREATEST = "most double"
FETCHED = "first long, lengths binary, items binary, scores binary, boostable binary, weights binary"

_NAMELESS = pa.array([], pa.large_string())

Work = Callable[[Iterator[tuple[Block, int]], Any], Iterator[dict[str, Any]]]
"""Blocks of a partition, each with the index of its first list among all, and what was broadcast → rows."""
Adding = Callable[[Block, int, Any], tuple[Ints, int, int]]
"""A block, the index of its first list, and what was broadcast → a table and two numbers to be added."""


@dataclass(eq=False)
class Made:
    """Lists at these boosts (None: the plain lists), apart from those in `rows` (n,), rising, which are `slots` (n, k).
    """

    boost: Boosts | None
    rows: Ints
    slots: Slots

    def of(self, lists: Lists, rows: Ints) -> Slots:
        """Slots of `lists`, which are the lists `rows` (n,), rising, of all."""
        slots = np.empty((len(rows), self.slots.shape[1]), self.slots.dtype)
        if self.boost is None:
            choose_plain(lists, slots)
        else:
            choose(lists, self.boost, slots)
        at = np.searchsorted(rows, self.rows)
        here = (at < len(rows)) & (rows[np.minimum(at, len(rows) - 1)] == self.rows)
        slots[at[here]] = self.slots[here]
        return slots

    def change(self, rows: Ints, slots: Slots) -> None:
        """The lists `rows` (n,), rising, are `slots` (n, k) from now on."""
        kept = ~np.isin(self.rows, rows)
        joined = np.concatenate([self.rows[kept], rows])
        order = np.argsort(joined)
        self.rows, self.slots = joined[order], np.concatenate([self.slots[kept], slots])[order]


@dataclass(eq=False)
class Blocks:
    """The cached table of blocks, and what is known of it."""

    table: "DataFrame"
    constants: Lists
    """What the kernels read besides lists."""
    firsts: dict[tuple[int, int], int]
    """(part, seq) of a block → index of its first list among all."""
    longs: dict[tuple[int, int], int]
    """The same among lists of two or more candidates."""
    n_lists: int
    n_long: int
    n_candidates: int
    longest: int
    score_limits: tuple[float, float]
    heaviest: float | None
    """Greatest weight, where lists have weights."""
    memory: int
    """Bytes that lists may take on the driver."""
    fetched: tuple[bytes, Lists, Ints] | None = field(default=None, repr=False)
    """The last lists that were asked for: the curvature looks at the same ones again and again."""

    def run(self, work: Work, columns: str, told: Any = None) -> pa.Table:
        """What `work` makes of each partition's blocks and `told`, as one table with `columns`."""
        context = self.table.sparkSession.sparkContext
        sent = context.broadcast((self.constants, self.firsts, told))

        def over(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            constants, firsts, given = sent.value
            blocks = ((block, firsts[block.part, block.seq]) for block in blocks_of(batches, constants))
            for row in work(blocks, given):
                yield pa.RecordBatch.from_pylist([row], schema=arrow_schema(columns))

        try:
            return self.table.mapInArrow(over, columns).toArrow()
        finally:
            sent.destroy()

    def sums(self, work: Adding, told: Any, size: int) -> Sums:
        """Σ over all blocks of what `work` gives: a table (size,), and two numbers."""

        def partial(blocks: Iterator[tuple[Block, int]], given: Any) -> Iterator[dict[str, Any]]:
            table, value, clicks = np.zeros(size, np.int64), 0, 0
            for block, first in blocks:
                more = work(block, first, given)
                table += more[0]
                value, clicks = value + more[1], clicks + more[2]
            yield {"table": table.tobytes(), "value": value, "clicks": clicks}

        table, value, clicks = np.zeros(size, np.int64), 0, 0
        for row in self.run(partial, SUMS, told).to_batches():
            for raw in row.column("table"):
                table += np.frombuffer(raw.as_py(), np.int64)
            value += sum(row.column("value").to_pylist())
            clicks += sum(row.column("clicks").to_pylist())
        return Sums(table, value, clicks)

    def local(self) -> Iterator[tuple[Block, int]]:
        """The blocks, in order, one after the other to the driver."""
        parts = self.table.where("facts is null").sort("part", "seq")
        for row in parts.toLocalIterator():
            batch = pa.RecordBatch.from_pylist([row.asDict()], schema=arrow_schema(BLOCKS))
            for block in blocks_of(iter([batch]), self.constants):
                yield block, self.firsts[block.part, block.seq]

    def names(self) -> tuple[pa.Array, pa.Array | None]:
        """Request of every list, and its user where candidates name one: (R,) each."""
        found = self.table.where("facts is null").select("part", "seq", "requests", "users").toArrow().to_pylist()
        found.sort(key=lambda row: (row["part"], row["seq"]))
        requests, users = (
            pa.concat_arrays([from_bytes(row[name]) for row in found if row[name] is not None] or [_NAMELESS])
            for name in ("requests", "users")
        )
        return requests, users if len(users) else None

    def fetch(self, rows: Ints, *, long: bool = False) -> Lists:
        """The lists `rows` (n,), rising, in memory; `long`: counted among lists of two or more candidates."""
        firsts = self.longs

        def pick(blocks: Iterator[tuple[Block, int]], wanted: Ints) -> Iterator[dict[str, Any]]:
            for block, start in blocks:
                lengths = np.diff(block.lists.indptr)
                own = np.flatnonzero(lengths >= 2) if long else np.arange(block.n_lists)
                first = firsts[block.part, block.seq] if long else start
                lo, hi = np.searchsorted(wanted, [first, first + len(own)])
                if lo == hi:
                    continue
                yield _taken(block.lists, own[wanted[lo:hi] - first], int(lo))

        found = self.run(pick, FETCHED, rows).to_pylist()
        found.sort(key=lambda row: int(row["first"]))
        return _joined(self.constants, found)


def _taken(lists: Lists, rows: Ints, first: int) -> dict[str, Any]:
    lengths = lists.indptr[rows + 1] - lists.indptr[rows]
    starts = np.cumsum(lengths) - lengths
    at = np.repeat(lists.indptr[rows] - starts, lengths) + np.arange(int(lengths.sum()))
    return {
        "first": first, "lengths": lengths.astype(np.int64).tobytes(),
        "items": lists.items[at].tobytes(), "scores": lists.scores[at].tobytes(),
        "boostable": lists.boostable[at].tobytes() if lists.boostable.size else b"",
        "weights": lists.weights[rows].tobytes() if lists.weights.size else b"",
    }


def _joined(constants: Lists, found: list[dict[str, Any]]) -> Lists:
    def column(name: str, kind: type[np.generic]) -> npt.NDArray[Any]:
        return np.frombuffer(b"".join(row[name] for row in found), kind).copy()

    lengths = column("lengths", np.int64)
    return constants._replace(
        indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), items=column("items", np.int32),
        scores=column("scores", np.float32), boostable=column("boostable", np.bool_),
        weights=column("weights", np.float32),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class SparkTask(Task):
    """A `Task` whose lists lie on executors."""

    blocks: Blocks
    total: float

    @property
    def n_lists(self) -> int:
        """R."""
        return self.blocks.n_lists

    @property
    def weighted(self) -> bool:
        """Whether lists have weights."""
        return self.blocks.heaviest is not None

    @property
    def score_limits(self) -> tuple[float, float]:
        """Least and greatest score."""
        return self.blocks.score_limits

    @property
    def total_exposure(self) -> float:
        """Exposure that all lists give away."""
        return self.total

    def pass_at(self, boost: Boosts, scales: Scales) -> Sums:
        """The best lists at these boosts (I,), summed."""

        def best(block: Block, first: int, told: Any) -> Sums:
            return sum_best(block.lists, ALL, *told)

        return self.blocks.sums(best, (boost, scales), self.n_items)

    def extremes(self, *, guarded: bool, scale: float) -> Ints:
        """Extreme exposure × scale of every goal (G,)."""

        def extreme(block: Block, first: int, told: Any) -> tuple[Ints, int, int]:
            return sum_extremes(block.lists, *told, guarded=guarded, scale=scale), 0, 0

        return self.blocks.sums(extreme, (self.membership, self.goals.kind), len(self.goals)).exposure

    def choose(self, boost: Boosts) -> Chosen:
        """The best lists at these boosts."""
        return Made(boost, ALL, np.empty((0, self.k), narrowest(self.blocks.longest)))

    def plain(self) -> Chosen:
        """The ranker's own top k under pins and per-list caps."""
        return Made(None, ALL, np.empty((0, self.k), narrowest(self.blocks.longest)))

    def measure(self, slots: Chosen, scales: Scales) -> Sums:
        """Given lists, summed."""

        def given(block: Block, first: int, told: Any) -> Sums:
            made, n_items, scales = told
            return sum_lists(block.lists, made.of(block.lists, own_rows(block, first)), n_items, scales)

        return self.blocks.sums(given, (slots, self.n_items, scales), self.n_items)

    def rate_moves(
        self, search: Search, exposure: Floats, slots: Chosen, limit: float
    ) -> tuple[Ints, npt.NDArray[np.float32]]:
        """Lists (n,), rising, that have a move with a rate under `limit`, and these rates: 12 bytes for each."""

        def rate(blocks: Iterator[tuple[Block, int]], told: Any) -> Iterator[dict[str, Any]]:
            search, exposure, made = told
            for block, first in blocks:
                own = made.of(block.lists, own_rows(block, first))
                rows, rates = rated(block.lists, search, exposure, own, limit)
                if len(rows):
                    yield {"first": first, "rows": (rows + first).tobytes(), "rates": rates.tobytes()}

        found = self.blocks.run(rate, RATED, (search, exposure, slots)).to_pylist()
        found.sort(key=lambda row: int(row["first"]))
        rows = np.frombuffer(b"".join(row["rows"] for row in found), np.int64)
        return rows, np.frombuffer(b"".join(row["rates"] for row in found), np.float32)

    def apply_moves(
        self, search: Search, exposure: Floats, slots: Chosen, rows: Ints, rates: Floats
    ) -> tuple[int, float]:
        """Make the moves of the lists `rows` in order, on the driver; only these lists come to it."""
        if not len(rows):
            return 0, 0.0
        risen = np.sort(rows)
        lists = self.blocks.fetch(risen)
        own = slots.of(lists, risen)
        before = own.copy()
        made, won = apply_moves(lists, search, exposure, own, np.searchsorted(risen, rows), rates)
        changed = np.flatnonzero((own != before).any(axis=1))
        slots.change(risen[changed], own[changed])
        return int(made), float(won)

    def picked(self, rows: Ints) -> tuple[Lists, Ints]:
        """The lists `rows`, rising, on the driver."""
        key = rows.tobytes()
        if self.blocks.fetched is None or self.blocks.fetched[0] != key:
            self.blocks.fetched = None
            self.blocks.fetched = key, self.blocks.fetch(rows), np.arange(len(rows))
        return self.blocks.fetched[1:]

    def looked_at(self, most: int) -> tuple[Lists, Ints]:
        """Up to `most` lists of two or more candidates, spread over all of them."""
        rows = spread(self.blocks.n_long, most)
        return self.blocks.fetch(rows, long=True), np.arange(len(rows))

    def pins_kept(self, slots: Chosen) -> dict[str, int]:
        """How many candidates are pinned, and how many of them stand in their slot."""

        def kept(block: Block, first: int, made: Made) -> tuple[Ints, int, int]:
            return ALL, *count_pins(block.lists, made.of(block.lists, own_rows(block, first)))

        sums = self.blocks.sums(kept, slots, 0)
        return {"candidates": sums.value, "in_slot": sums.clicks}

    def collected(self) -> Problem:
        """The same task with all its lists on the driver; raises `InputError` where they do not fit."""
        needed = 8 * (self.blocks.n_candidates + self.n_lists)
        if needed > self.blocks.memory:
            raise InputError(
                f"engine: spark: this job needs all lists on the driver ({needed / GB:.3g} GB), more than memory_limit "
                f"= {self.blocks.memory / GB:.3g} GB. Raise memory_limit, or leave welfare and exact out."
            )
        lists = self.blocks.fetch(np.arange(self.n_lists))
        rails = self.guardrails
        if rails.boostable is not None:
            rails = type(rails)(**{**rails.__dict__, "boostable": lists.boostable})
        return Problem(
            attention=self.attention, group_indptr=self.group_indptr, group_ids=self.group_ids, goals=self.goals,
            guardrails=rails, welfare=self.welfare, indptr=lists.indptr, items=lists.items, scores=lists.scores,
            weights=lists.weights if self.weighted else None,
        )


def own_rows(block: Block, first: int) -> Ints:
    """Indices of the lists of a block among all."""
    return np.arange(first, first + block.n_lists)


def total_exposure(blocks: Blocks, attention: Floats) -> float:
    """Exposure that all lists give away: what `passes.total` gives for them in memory."""

    def greatest(blocks: Iterator[tuple[Block, int]], told: Any) -> Iterator[dict[str, Any]]:
        for block, _ in blocks:
            given = list_exposure(block.lists, np.arange(block.n_lists))
            yield {"most": float(given.max(initial=0.0))}

    top = max(blocks.run(greatest, GREATEST).column("most").to_pylist(), default=0.0)
    scale = sum_scale(blocks.n_lists, top)

    def add(block: Block, first: int, told: Any) -> tuple[Ints, int, int]:
        return ALL, fixed_sum(list_exposure(block.lists, np.arange(block.n_lists)), scale), 0

    return blocks.sums(add, None, 0).value / scale
