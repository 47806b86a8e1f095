"""Dataset folder with logged lists → examination.parquet, one per surface, attraction.parquet, clicks.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from ltexpo.columns import Columns
from ltexpo.data.dataset import Dataset
from ltexpo.data.files import write_json
from ltexpo.data.output_folder import output_folder
from ltexpo.data.tables import write_frame
from ltexpo.jobs.job import DataJob
from ltexpo.simulate.clicks import (
    MODELS,
    Choice,
    Curves,
    Sessions,
    choose,
    examination,
    examination_by_propensity,
)
from ltexpo.simulate.clicks.examination import ALL, file_name, never_rising

PROPENSITY_TABLE = "examination-by-propensity.parquet"
EXAMINATION_TABLE, ATTRACTION_TABLE, CLICKS_FILE = "examination.parquet", "attraction.parquet", "clicks.json"


class ExamineJob(DataJob):
    """Settings of 'ltexpo examine'."""

    model: Literal["all", "pbm", "cm", "dcm", "dbn", "ubm"] = "all"
    """The click model; "all" fits every one and takes the one that foresees held-out clicks best (ties: simplest)."""
    surface: str | None = None
    """Column of the events that tells surfaces (home, search, mail …) apart; each gets its own curve."""
    k: int | None = Field(None, ge=1)
    """Slots to keep; deeper ones are left out. Without it, the longest list decides."""
    held_out: float = Field(0.25, gt=0, lt=1)
    """Share of the lists that models are compared on, by a hash of their request_id."""
    since: str | None = None
    """Compare on the lists from this date on instead."""
    groups: int = Field(20, ge=2)
    """Groups of users that the intervals are jackknifed over: more is steadier and slower."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""
    out: Path
    """Folder to write examination.parquet, attraction.parquet and clicks.json to."""


@dataclass(frozen=True)
class Examined:
    """What 'ltexpo examine' found."""

    sessions: Sessions
    choice: Choice
    curves: Curves
    by_propensity: pd.DataFrame | None
    """Examination by inverse propensity, where every impression has one."""
    notes: list[str]

    def __str__(self) -> str:
        notes = "\n".join([*self.choice.best.notes_, *self.notes])
        return "\n\n".join(filter(None, [str(self.sessions), str(self.choice), str(self.curves), notes]))


def run_examine(job: ExamineJob) -> Examined:
    """Fit, compare and write, all or nothing."""
    with output_folder(job.out, verb="examine", inputs=(job.data,)) as folder:
        events = Dataset.load(job.data).require_events("'ltexpo examine'")
        sessions = Sessions.of(events, surface=job.surface, k=job.k)
        names = tuple(MODELS) if job.model == "all" else (job.model,)
        choice = choose(sessions, models=names, share=job.held_out, since=job.since, level=job.level)
        curves = examination(choice.best, sessions, groups=job.groups, level=job.level)
        write_frame(curves.of(), folder / EXAMINATION_TABLE)
        files = {ALL: EXAMINATION_TABLE}
        if len(sessions.surfaces) > 1:
            taken: set[str] = set()
            for surface in sessions.surfaces:
                files[surface] = file_name(surface, taken)
                write_frame(curves.of(surface), folder / files[surface])
        by_propensity, notes = None, []
        if sessions.propensity is not None:
            by_propensity = examination_by_propensity(sessions, level=job.level)
            notes = _disagreements(curves, by_propensity, len(sessions.surfaces) > 1)
            if len(sessions.surfaces) == 1 and by_propensity["examination"].notna().all():
                level = by_propensity.assign(
                    examination=never_rising(
                        by_propensity["examination"].to_numpy(), by_propensity["effective"].to_numpy()
                    )
                )
                write_frame(level, folder / PROPENSITY_TABLE)
        write_frame(choice.best.key_estimates(), folder / ATTRACTION_TABLE)
        write_json({
            "log": sessions.facts(), "model": choice.best.facts(), "comparison": choice.facts(),
            "examination": curves.facts(), "files": files, "notes": notes,
            "by_propensity": None if by_propensity is None else by_propensity.to_dict("records"),
        }, folder / CLICKS_FILE)
    return Examined(sessions, choice, curves, by_propensity, notes)


def _disagreements(curves: Curves, by_propensity: pd.DataFrame, several: bool) -> list[str]:
    """Where the intervals of the click model and of inverse propensity do not meet."""
    notes = []
    for name, part in by_propensity.groupby("surface", sort=False):
        curve = curves.of(str(name) if several else ALL)
        both = curve.merge(part, on=Columns.Rank, suffixes=("", "_by_propensity"))
        apart = both[(both["low"] > both["high_by_propensity"]) | (both["high"] < both["low_by_propensity"])]
        if len(apart):
            row = apart.iloc[0]
            notes.append(
                f"surface {name}: inverse propensity disagrees with the click model at {len(apart)} of {len(both)} "
                f"ranks (rank {row[Columns.Rank]:.0f}: {row['examination_by_propensity']:.3f}, not "
                f"{row['examination']:.3f}). A policy that shows people on top what they like misleads click models, "
                "which take an item to attract all alike; believe the propensities."
            )
    return notes
