"""Where tests find real data, when it is there."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: LTEXPO_DATA, or shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LTEXPO_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data is not at {folder}; set LTEXPO_DATA to run this test")
    return folder
