"""Which engine a job runs on."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ltexpo.config import Settings


class EngineSettings(Settings):
    """Where a step runs."""

    engine: Literal["local", "spark"] = "local"
    """local: this machine, all cores. spark: PySpark (extra ltexpo[spark]), for data that outgrows one machine; the
    answer is the same."""
    master: str | None = None
    """spark: where it runs, e.g. local[4] or spark://HOST:7077; null: as the environment is set up."""
    partitions: int | None = Field(None, ge=1)
    """spark: parts that the data is cut into; null: three for each core."""

    @model_validator(mode="after")
    def _of_spark(self) -> Self:
        for name in ("master", "partitions"):
            if self.engine != "spark" and getattr(self, name) is not None:
                raise ValueError(f"'{name}' is for engine: spark, and engine is {self.engine}; leave one of them out")
        return self
