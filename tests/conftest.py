"""Where tests find real data, when it is there; torch keeps to one thread, as every worker of pytest is one."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A crowded machine is no fault of an example.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
# read when torch is first imported; tiny tensors on many threads of many workers wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: LTEXPO_DATA, or shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LTEXPO_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data is not at {folder}; set LTEXPO_DATA to run this test")
    return folder
