"""What was shown and clicked + yesterday's targets → how the day was, alarms, and tomorrow's prices."""

from ltexpo.monitor.controller import Breach, decide
from ltexpo.monitor.monitor import Events, last_day, monitor
from ltexpo.monitor.published import Published
from ltexpo.monitor.result import Monitored
from ltexpo.monitor.settings import ControllerSettings, MonitorSettings

__all__ = [
    "Breach", "ControllerSettings", "Events", "MonitorSettings", "Monitored", "Published", "decide", "last_day",
    "monitor",
]
