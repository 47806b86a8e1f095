"""'recommend --model' and 'encode' on Spark give what they give on one machine."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

pytest.importorskip("torch", reason="extra 'model' is not installed")

from tiny_models import AWKWARD, BROKEN, save_bert, save_clip
from tiny_ranking import tiny_settings

from ltexpo.config import check_settings
from ltexpo.data import Dataset
from ltexpo.data.files import read_json
from ltexpo.data.synthetic import make_shop
from ltexpo.data.tables import read_frame, read_metadata
from ltexpo.encoders import ItemVectors
from ltexpo.errors import ConfigError
from ltexpo.jobs.encoding import EncodeJob, run_encode
from ltexpo.jobs.recommending import RecommendJob, run_recommend
from ltexpo.jobs.training import TrainJob, run_train
from ltexpo.ranking import users


@pytest.mark.usefixtures("session")
def test_users_are_scored_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # where Spark's own processes do not stand
    make_shop(n_items=150, n_users=800, n_days=4, rng=0).save(tmp_path / "data", pictures=False)
    settings = tiny_settings(
        tfidf={"width": 8}, rolling=tiny_settings()["rolling"] | {"days": 1}, graph=None, fusion=None
    )
    run_train(TrainJob.model_validate({**settings, "data": tmp_path / "data", "out": tmp_path / "model"}))
    words = []
    for engine in ("local", "spark"):
        job = {"data": "data", "model": "model", "out": engine, "k": 8}
        words.append(str(run_recommend(RecommendJob.model_validate({**job, "engine": engine}))))
    assert words[0] == words[1]
    local, spark = (tmp_path / engine / "candidates.parquet" for engine in ("local", "spark"))
    assert spark.is_dir()
    assert len(list(spark.iterdir())) == -(-read_frame(local)["user_id"].nunique() // users._AT_ONCE) > 1
    # a part is a block of users, of whom the local engine puts all in order
    theirs = read_frame(spark).sort_values(["request_id", "rank"], ignore_index=True)
    assert_frame_equal(read_frame(local), theirs, check_exact=True)
    assert read_metadata(local) == read_metadata(spark)
    assert read_json(tmp_path / "local" / "recommend.json") == read_json(tmp_path / "spark" / "recommend.json")


def test_a_blend_is_not_for_spark(tmp_path: Path):
    with pytest.raises(ConfigError, match="engine spark scores with a trained model"):
        check_settings(RecommendJob, {"data": tmp_path, "out": tmp_path / "out", "engine": "spark"}, "options")


@pytest.mark.usefixtures("session")
def test_contents_are_encoded_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A row's vector depends on its batch by rounding only (fp32 sums of a few hundred terms: 1e-5 is generous)."""
    pictures = {**AWKWARD, **BROKEN}
    names = sorted(pictures)
    items = pd.DataFrame({
        "item_id": [f"i{n:02d}" for n in range(40)],
        "title": [f"red shirt {'long ' * (n % 7)}" if n % 9 else "" for n in range(40)],
        "image": [f"images/{names[n % len(names)]}" if n < 36 else None for n in range(40)],
    })
    Dataset.of(items, root=tmp_path).save(tmp_path / "data")
    (tmp_path / "data" / "images").mkdir(exist_ok=True)
    for name, content in pictures.items():
        (tmp_path / "data" / "images" / name).write_bytes(content)
    save_bert(tmp_path / "bert")
    save_clip(tmp_path / "clip")
    monkeypatch.chdir(tmp_path)  # where Spark's own processes do not stand
    found = {}
    for engine in ("local", "spark"):
        job = {"data": "data", "out": engine, "text": "bert", "image": "clip", "titles": True}
        more = {"partitions": 3} if engine == "spark" else {}
        found[engine] = run_encode(EncodeJob.model_validate({**job, "engine": engine, **more}))
    for name, ours in found["local"].encoded.items():
        theirs = found["spark"].encoded[name]
        assert np.allclose(ours.vectors, theirs.vectors, atol=1e-5), name
        assert ours.states.tolist() == theirs.states.tolist(), name
        assert ours.computed == theirs.computed > 0, name
    again = run_encode(EncodeJob.model_validate({**job, "engine": "spark", "out": tmp_path / "again",
                                                 "cache": tmp_path / "spark.cache"}))
    assert {part.computed for name, part in again.encoded.items() if name == "text"} == {0}
    facts = [ItemVectors.load(tmp_path / engine).facts["vectors"] for engine in ("local", "spark")]
    assert facts[0] == facts[1]
