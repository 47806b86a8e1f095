"""Where jobs are tracked: settings or the environment → the address of an MLflow store."""

import importlib.util
import os
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from ltexpo.config import Settings
from ltexpo.errors import MissingExtraError

ADDRESS = "MLFLOW_TRACKING_URI"


class TrackingSettings(Settings):
    """An MLflow store that is told of each finished job."""

    uri: str | None = None
    """A server (https://…) or a database (sqlite:///mlflow.db, postgresql://…); needs ltexpo[tracking]. null: the
    environment's MLFLOW_TRACKING_URI, and without it nothing is tracked."""
    experiment: str = Field("ltexpo", min_length=1)
    """The experiment that runs belong to; it is made where there is none."""
    run_name: str | None = None
    """Name of the run; null: the job's verb."""

    @field_validator("uri")
    @classmethod
    def _usable(cls, uri: str | None) -> str | None:
        wrong = None if uri is None else unusable(uri)
        if wrong is not None:
            raise ValueError(wrong)
        return uri

    @property
    def address(self) -> str | None:
        """The store, or None where nothing is tracked."""
        return self.uri or os.environ.get(ADDRESS) or None


class Tracked(Settings):
    """A job that may be tracked."""

    tracking: TrackingSettings = TrackingSettings()
    """Tell an MLflow store of the finished job: settings, metrics, aggregates; never lists or ids of users."""


def unusable(uri: str) -> str | None:
    """Why jobs cannot be tracked at `uri`, with the mend; None where they can."""
    scheme = urlsplit(uri).scheme
    if scheme in ("", "file") or len(scheme) == 1:  # a letter is a drive
        return ("a folder of files is no store that current MLflow versions write to. Give a database, such as "
                "sqlite:///mlflow.db, or a server")
    if importlib.util.find_spec("mlflow") is None:
        return str(MissingExtraError("tracking", "mlflow", "tracking"))
    if scheme.split("+")[0] in _DATABASES and importlib.util.find_spec("sqlalchemy") is None:
        return str(MissingExtraError("tracking in a database", "sqlalchemy", "tracking"))
    return None


_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
