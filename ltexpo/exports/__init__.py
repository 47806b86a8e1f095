"""Rankings and boosts → the files that a search engine or a lookup loads."""

from ltexpo.exports.boosts import BoostTable
from ltexpo.exports.export import export_boosts, export_lists
from ltexpo.exports.result import ExportedFile, ExportResult
from ltexpo.exports.settings import BOOST_FORMATS, FORMATS, ExportSettings

__all__ = [
    "BOOST_FORMATS", "FORMATS", "BoostTable", "ExportResult", "ExportSettings", "ExportedFile", "export_boosts",
    "export_lists",
]
