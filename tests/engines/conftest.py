"""One Spark session for all tests of this folder: starting one takes longer than most tests."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ltexpo.engines import EngineSettings
from ltexpo.engines.session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def session() -> "Iterator[SparkSession]":
    pytest.importorskip("pyspark", reason="extra 'spark' is not installed")
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        pytest.skip("there is no Java on this machine")
    # one core: these jobs are so small that a second worker only starts slower
    with spark_session(EngineSettings(engine="spark", master="local[1]"), memory=1.0) as session:
        yield session
