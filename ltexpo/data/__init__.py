"""Sources → checked contract tables."""

from ltexpo.data.dataset import Dataset
from ltexpo.data.ids import IdMap
from ltexpo.data.split import Split, leave_last_out, time_split
from ltexpo.data.tail import TailSpec

__all__ = ["Dataset", "IdMap", "Split", "TailSpec", "leave_last_out", "time_split"]
