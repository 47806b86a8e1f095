"""Which engine a job runs on."""

from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from ltexpo.config import Settings

T = TypeVar("T")


class EngineSettings(Settings):
    """Where a step runs."""

    engine: Literal["local", "spark"] = "local"
    """local: this machine, all cores. spark: PySpark (extra ltexpo[spark]), for data that outgrows one machine; the
    answer is the same."""
    master: str | None = None
    """spark: where it runs, e.g. local[4] or spark://HOST:7077; null: as the environment is set up."""
    partitions: int | None = Field(None, ge=1)
    """spark: parts that the data is cut into; null: three for each core."""

    def from_root(self) -> Self:
        """The same with paths from the root: executors need not stand in this folder."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return self.model_copy(update={
            name: tuple(map(rooted, value)) if isinstance(value, tuple) else rooted(value)
            for name, value in given.items()
        })

    @model_validator(mode="after")
    def _of_spark(self) -> Self:
        for name in ("master", "partitions"):
            if self.engine != "spark" and getattr(self, name) is not None:
                raise ValueError(f"'{name}' is for engine: spark, and engine is {self.engine}; leave one of them out")
        return self


def rooted(value: T) -> T:
    """A path as one from the root; anything else as it is."""
    return value.absolute() if isinstance(value, Path) else value
