"""Engine settings → a Spark session that runs our kernels, and its failures → one line."""

import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ltexpo.engines.settings import EngineSettings
from ltexpo.errors import ConfigError, LtexpoError, MissingExtraError
from ltexpo.rerank.workspace import GB, free_memory

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger("ltexpo")

PARTS_A_CORE = 3
"""Partitions for each core: the slowest one then holds little up."""
LEAST_HEAP = 1
"""GB of Java memory that Spark needs in any case on one machine."""

OF_SQL = {
    # a row is a block of lists, so a batch is one row
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1",
    "spark.sql.inMemoryColumnarStorage.batchSize": "1",
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # the number of partitions is that of the job
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
}


@contextmanager
def spark_session(settings: EngineSettings, *, memory: float | None = None) -> Iterator["SparkSession"]:
    """A session; one that runs already is used and left running, else one is started and stopped.

    `memory`: GB that Java may take where Spark runs inside this process (a local master); None: a quarter of what is
    free. Raises `MissingExtraError` without PySpark, `ConfigError` without Java, and `LtexpoError` in one line for
    whatever fails inside Spark.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingExtraError("engine: spark", "pyspark", "spark") from error
    from py4j.protocol import Py4JError

    _refuse_without_java()
    with tempfile.TemporaryDirectory(prefix="ltexpo-spark-", ignore_cleanup_errors=True) as room:
        running = SparkSession.getActiveSession()
        started: SparkSession | None = None
        try:
            started = None if running is None else running
            if running is None:
                started = _start(settings, Path(room), memory)
            assert started is not None
            session = started.newSession()  # its settings are its own
            for name, value in OF_SQL.items():
                session.conf.set(name, value)
            yield session
        except (PySparkException, Py4JError, ConnectionError) as error:
            log.debug("Spark failed", exc_info=True)
            if started is not None and not _answers(started):
                raise LtexpoError(
                    "engine: spark: Java ended, most often for want of memory. Give it more (memory_limit, or Spark's "
                    "own settings), or more partitions."
                ) from error
            raise LtexpoError(f"engine: spark: {_reason(str(error))}") from error
        finally:
            if running is None and started is not None:
                # a Java that fell over cannot be stopped, and that is not what went wrong
                with suppress(PySparkException, Py4JError, ConnectionError):
                    started.stop()


def _answers(session: "SparkSession") -> bool:
    """Whether Java is still there."""
    try:
        return bool(session.version)
    except Exception:  # whatever a broken connection throws
        return False


def cores(session: "SparkSession") -> int:
    """Tasks that run at the same time."""
    return int(session.sparkContext.defaultParallelism)


def partitions(settings: EngineSettings, session: "SparkSession") -> int:
    """Parts that the data is cut into."""
    return settings.partitions or PARTS_A_CORE * cores(session)


def _start(settings: EngineSettings, room: Path, memory: float | None) -> "SparkSession":
    from pyspark.sql import SparkSession

    # said by every call; nothing here makes pandas frames through PySpark
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    # workers run what this process runs, unless the cluster says where its Python is
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("ltexpo")
    given = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",  # what fails is said in one line
        # 0 = no limit: what comes to the driver is checked against memory_limit instead
        "spark.driver.maxResultSize": "0",
        # a task is one core: Spark counts on it
        "spark.executorEnv.NUMBA_NUM_THREADS": "1",
        "spark.executorEnv.OMP_NUM_THREADS": "1",
    }
    if settings.master is not None:
        builder = builder.master(settings.master)
    if settings.master is None or settings.master.startswith("local"):
        heap = max(free_memory() / GB / 4 if memory is None else memory, LEAST_HEAP)
        given |= {
            "spark.driver.memory": f"{int(1024 * heap)}m",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(room),
        }
    for name, value in given.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _refuse_without_java() -> None:
    home = os.environ.get("JAVA_HOME")
    found = (Path(home) / "bin" / "java").exists() if home else shutil.which("java") is not None
    if not found:
        where = f"JAVA_HOME = {home} holds no bin/java" if home else "no java on the PATH"
        raise ConfigError(f"engine: spark needs Java 17 or later, but there is {where}. Install it, or set JAVA_HOME.")


def _reason(text: str) -> str:
    """The line of a Python or Java trace that says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "stopped without a reason. Run again with -v."
    within = [n for n, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if within:  # the last line of the Python trace, before Java's frames begin
        for line in lines[within[-1] + 1 :]:
            head = line.split(":")[0]
            if not line.startswith(("File ", "at ", "^")) and head.endswith(("Error", "Exception", "Exit")):
                return f"a task failed with {line}"
    # Py4J first says what was called, then why it failed
    return lines[1].lstrip(": ") if lines[0].startswith("An error occurred while calling") and lines[1:] else lines[0]
