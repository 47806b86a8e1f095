"""A finished job → a run in MLflow; figures of a training → TensorBoard. Neither may cost a job its output."""

from ltexpo.tracking.run import track, tracked_run, tracked_within, within
from ltexpo.tracking.scalars import scalars
from ltexpo.tracking.settings import Tracked, TrackingSettings

__all__ = ["Tracked", "TrackingSettings", "scalars", "track", "tracked_run", "tracked_within", "within"]
