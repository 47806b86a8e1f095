"""Candidates on disk and a catalogue → a job whose lists lie on executors; the engine of the re-ranker."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ltexpo.engines.blocks import MOST_CANDIDATES
from ltexpo.engines.intake import TASKS_A_CORE, Deal, read_blocks, refusal_of
from ltexpo.engines.lists import SparkLists
from ltexpo.engines.passes import Blocks, Made, SparkTask, total_exposure
from ltexpo.engines.session import cores, partitions, spark_session
from ltexpo.engines.settings import EngineSettings, rooted
from ltexpo.errors import InputError
from ltexpo.rerank.encode import EncodedJob, Engine, Job, reading_of
from ltexpo.rerank.intake import Reader, first_repeat, note_rows
from ltexpo.rerank.scale import Scale
from ltexpo.rerank.settings import RerankSettings
from ltexpo.rerank.solve import SMALL
from ltexpo.rerank.source import Candidates
from ltexpo.rerank.task import Boosts, Chosen
from ltexpo.rerank.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Facts = list[dict[str, Any]]


@contextmanager
def engine_of(settings: EngineSettings, *, memory_limit: float | None = None) -> Iterator[Engine | None]:
    """The engine that a re-ranking job asks for; None is this process."""
    if settings.engine == "local":
        yield None
        return
    with spark_session(settings, memory=memory_limit) as session:
        yield SparkEngine(session, settings)


@dataclass(frozen=True, eq=False)
class SparkEngine:
    """Encodes jobs on executors; what follows list by list (few lists, welfare, exact) is brought to the driver."""

    session: "SparkSession"
    settings: EngineSettings
    most_candidates: int = MOST_CANDIDATES
    """Candidates of a block, about."""
    small: int = SMALL
    """Up to so many lists the driver solves alone."""

    def encode(
        self, candidates: Candidates, items: pd.DataFrame, settings: RerankSettings, *, scale: Scale | None,
        scratch: Path | None,
    ) -> EncodedJob:
        """The job, refused as the local engine refuses it; `candidates` is a path that every executor sees."""
        job = Job.of(rooted(Path(candidates) if isinstance(candidates, str) else candidates), items, settings, scale)
        deal = Deal.of(job.source, TASKS_A_CORE * cores(self.session))
        n_parts = partitions(self.settings, self.session)
        table, facts = read_blocks(self.session, deal, job, n_parts=n_parts, most_candidates=self.most_candidates)
        notes = _checked(job, facts)
        limit = Workspace(settings.memory_limit, scratch).limit
        whole = _task(job, _blocks(table, job, facts, limit))
        task = job.aimed(whole)
        if task.n_lists <= self.small or settings.welfare or settings.exact:
            problem = task.collected()
            requests, users = whole.blocks.names()
            table.unpersist()
            return job.encoded(problem, requests, users, notes)
        return SparkEncoded(
            spark=task, table=job.table, item_ids=job.item_ids, notes=notes, scale=job.scale,
            users="user_id" in job.source,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class SparkEncoded(EncodedJob):
    """A job whose lists lie on executors."""

    spark: SparkTask
    users: bool

    @property
    def task(self) -> SparkTask:
        """What is solved."""
        return self.spark

    @cached_property
    def plain(self) -> Made:
        """The ranker's own top k."""
        made: Made = self.spark.plain()
        return made

    def finals(self, slots: Chosen, boosts: Boosts, paying: npt.NDArray[np.object_]) -> SparkLists:
        """The tables of the lists `slots`."""
        return SparkLists(self.spark, self.item_ids, self.users, slots, self.plain, boosts, paying)


def _checked(job: Job, facts: Facts) -> dict[str, int]:
    """Notes on what was read; raises what the local engine raises for these candidates."""
    read = sorted((one for fact in facts for one in fact["read"]), key=lambda one: int(one["task"]))
    refusal = refusal_of(read)
    if refusal is not None:
        # an executor counts rows of its own part only: the words come from reading all of it up to here
        notes: dict[str, int] = {}
        for _ in Reader(job.source, job.item_ids, reading_of(job.scale, job.settings.guardrails), notes).batches():
            pass
        raise refusal
    spoilt = [request for fact in facts for request in fact.get("spoilt", [])]
    if spoilt:
        count = sum(fact.get("repeats", 0) for fact in facts)
        found = first_repeat(job.source, pa.array(spoilt, pa.large_string()), count)
        raise found or InputError("candidates hold the same item twice in one list. Keep one row per request and item.")
    refusal = refusal_of(facts)
    if refusal is not None:
        raise refusal
    notes = {}
    for one in read:
        for note, count in one["notes"].items():
            notes[note] = notes.get(note, 0) + count
    heaviest = [fact["heaviest"] for fact in facts if fact.get("heaviest") is not None]
    note_rows(
        notes, rows=sum(one["rows"] for one in read), kept=sum(one["kept"] for one in read),
        least=min(one["least"] for one in read), most=max(one["most"] for one in read),
        banned=bool(job.settings.guardrails.banned), weightless=bool(heaviest) and max(heaviest) == 0,
    )
    return notes


def _blocks(table: Any, job: Job, facts: Facts, limit: int) -> Blocks:
    """The table of blocks with the index of each block's first list; facts of the partitions in order."""
    firsts, longs = {}, {}
    n_lists = n_long = 0
    for part, fact in enumerate(facts):
        for block in fact.get("blocks", []):
            at = part, block["seq"]
            firsts[at], longs[at] = n_lists, n_long
            n_lists, n_long = n_lists + block["n_lists"], n_long + block["n_long"]
    full = [fact for fact in facts if "blocks" in fact]
    heaviest = [fact["heaviest"] for fact in full if fact["heaviest"] is not None]
    return Blocks(
        table=table, constants=_shell(job, None, 0.0).constants, firsts=firsts, longs=longs, n_lists=n_lists,
        n_long=n_long, n_candidates=sum(fact["candidates"] for fact in full),
        longest=max(fact["longest"] for fact in full),
        score_limits=(min(fact["least_score"] for fact in full), max(fact["most_score"] for fact in full)),
        heaviest=max(heaviest) if heaviest else None, memory=limit,
    )


def _task(job: Job, blocks: Blocks) -> SparkTask:
    return _shell(job, blocks, total_exposure(blocks, job.attention))


def _shell(job: Job, blocks: Any, total: float) -> SparkTask:
    members, rails = job.members, job.guardrails
    if job.settings.guardrails.confidence is not None:
        # whether a candidate may be boosted stands in its block
        rails = type(rails)(**{**rails.__dict__, "boostable": np.empty(0, np.bool_)})
    return SparkTask(
        attention=job.attention, group_indptr=members.indptr.astype(np.int64),
        group_ids=members.indices.astype(np.int64), goals=job.unbounded, guardrails=rails, blocks=blocks, total=total,
    )
