"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path | None, typer.Option("--config", help="YAML of settings; options given here win over it.")]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed of everything random; steps without chance ignore it.")
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Log every step; show the trace of an error.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write to.")]
Data = Annotated[Path | None, typer.Option("--data", help="Dataset folder with items.parquet, events.parquet.")]
K = Annotated[int | None, typer.Option("--k", help="Length of the lists.")]
Engine = Annotated[str | None, typer.Option("--engine", help="Where it runs: local, or spark.")]
Master = Annotated[str | None, typer.Option("--master", help="spark: e.g. local[4] or spark://HOST:7077.")]
Partitions = Annotated[int | None, typer.Option("--partitions", help="spark: parts that the data is cut into.")]
