"""'ltexpo simulate' on a folder: every table that it may write, and what it refuses."""

from pathlib import Path

import pytest

from ltexpo.config import read_settings
from ltexpo.data.files import read_json
from ltexpo.data.synthetic.shop import make_shop
from ltexpo.data.tables import read_frame
from ltexpo.errors import ConfigError, TableError
from ltexpo.jobs.recommending import RecommendJob, run_recommend
from ltexpo.jobs.reranking import RerankJob, run_rerank
from ltexpo.jobs.simulating import SimulateJob, run_simulate

UNTIL, CHECK = "2026-01-09", "2026-01-11"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulate")
    make_shop(n_items=300, n_users=800, n_days=8, k=8, rng=0).save(root / "data", pictures=False)
    run_recommend(RecommendJob(data=root / "data", out=root / "candidates", until=UNTIL, k=40, users="known"))
    run_rerank(RerankJob(
        data=root / "data", candidates=root / "candidates/candidates.parquet", out=root / "rankings", k=8,
        goals=[{"group": "tail", "min_share": 0.2}], guardrails={"min_score_ratio": None},
    ))
    return root


def job(root: Path, name: str, **settings) -> SimulateJob:
    return SimulateJob(**{
        "data": root / "data", "control": root / "rankings/control.parquet",
        "treatment": root / "rankings/rankings.parquet", "out": root / name, "days": 6, "before_days": 2,
    } | settings)


def test_every_table_is_written(folder: Path):
    run_simulate(job(
        folder, "all", environment="fitted", fit={"until": CHECK, "ridge": 8.0}, certify=100,
        candidates=folder / "candidates/candidates.parquet", boosts=folder / "rankings/boosts.parquet",
        item_side={"k": 8, "days": 3, "before_days": 3},
    ))
    written = {path.name for path in (folder / "all").iterdir() if not path.name.startswith(".")}
    assert written == {"experiment.json", *(f"{name}.parquet" for name in (
        "experiment", "looks", "days", "items", "validity", "fidelity", "designs",
    ))}
    told = read_json(folder / "all/experiment.json")
    assert told["environment"] == "fitted" and told["from"].startswith(UNTIL)
    assert abs(told["fidelity"]["clicks_off"]) < 0.5
    # ten days of logs are too few, which is said, and the assumption stays
    assert not told["returning"]["learnt"] and told["returning"]["reason"]
    assert told["behaviour"]["return_strength"] == told["returning"]["strength"] == 0.5
    effects = read_frame(folder / "all/experiment.parquet")
    assert set(effects["by"]) == {"all", "tenure", "activity", "value", "item tier"}
    shares = effects[(effects["metric"] == "tail share of exposure") & (effects["by"] == "all")]
    assert (shares["difference"] > 0.05).all()
    assert set(read_frame(folder / "all/validity.parquet")["metric"]) == {"tail share of exposure", "clicks per visit"}


def test_arms_are_retrained_on_the_log_that_they_made(folder: Path):
    given = {"days": 4, "retrain_every": 2, "retrain": {
        "recommend": {"k": 30, "weights": {"popularity": 1.0, "taste": 1.0}},
        "rerank": {"k": 8, "goals": [{"group": "tail", "min_share": 0.1}], "elastic": True},
    }}
    own, still = run_simulate(job(folder, "own", **given)), run_simulate(job(folder, "still", days=4))
    control = [result.items.query("arm == 'control'").set_index("item_id")["impressions"] for result in (own, still)]
    assert control[0].sum() == pytest.approx(control[1].sum(), rel=0.05)
    assert not control[0].equals(control[1])
    shared = run_simulate(job(folder, "shared", log="shared", **given))
    assert set(shared.effects["reading"]) == {"test"}


def test_several_treatments(folder: Path):
    arms = {name: folder / f"rankings/{file}.parquet" for name, file in (("boost", "rankings"), ("same", "control"))}
    result = run_simulate(job(folder, "several", treatment=arms))
    same = result.effects[(result.effects["arm"] == "same") & (result.effects["reading"] == "effect")]
    assert (same["difference"].fillna(0) == 0).all()


def test_what_cannot_be_simulated_is_refused(folder: Path, tmp_path: Path):
    bare = tmp_path / "control.parquet"
    read_frame(folder / "rankings/control.parquet").to_parquet(bare)
    with pytest.raises(ConfigError, match=r"fit\.since is missing"):
        run_simulate(job(folder, "no", environment="fitted", control=bare, treatment=bare))
    with pytest.raises(ConfigError, match="needs to know where the simulation begins"):
        run_simulate(job(folder, "no", retrain_every=2, control=bare, treatment=bare))
    with pytest.raises(TableError, match="nothing is left that the ranker has not seen"):
        run_simulate(job(folder, "no", environment="fitted", fit={"since": "2027-01-01"}))
    with pytest.raises(ValueError, match="go together"):
        job(folder, "no", boosts=bare)
    given = {"data": "d", "control": "c", "treatment": "t", "out": "o"}
    with pytest.raises(ConfigError, match=r"^options: candidates and boosts go together"):
        read_settings(SimulateJob, overrides=given | {"boosts": "b"})
    with pytest.raises(ConfigError, match="several treatments need a name of its own each"):
        read_settings(SimulateJob, overrides=given | {"treatment": ["a=x", "y"]})
    several = read_settings(SimulateJob, overrides=given | {"treatment": ["a=x", "b=day=2/y"]})
    assert several.treatment == {"a": Path("x"), "b": Path("day=2/y")}
    assert read_settings(SimulateJob, overrides=given | {"treatment": ["day=2/y"]}).treatment == Path("day=2/y")
    with pytest.raises(ConfigError, match=r"^options: primary: 'joy' is no metric"):
        read_settings(SimulateJob, overrides=given | {"primary": "joy"})
    assert not (folder / "no").exists()


def test_retraining_says_which_goals_it_met_and_keeps_the_lists_as_long(folder: Path):
    given = {"days": 4, "retrain_every": 2, "retrain": {
        "recommend": {"k": 30, "weights": {"popularity": 1.0, "taste": 1.0}},
        "rerank": {"goals": [{"group": "tail", "min_share": 0.1}], "elastic": True},
    }}
    result = run_simulate(job(folder, "goals", **given))
    told = read_json(folder / "goals/experiment.json")["retrained"]
    assert [goal["day"] for goal in told["treatment"]] == [2] and told["control"] == []
    assert told["treatment"][0]["met"] == (told["treatment"][0]["achieved"] >= told["treatment"][0]["target"] - 1e-9)
    visits = result.effects.query("reading == 'effect' and by == 'all'").set_index("metric")
    assert visits.loc["slots seen per visit", "control"] == pytest.approx(
        visits.loc["slots seen per visit", "treatment"], rel=0.1
    )
    with pytest.raises(ConfigError, match="Leave it out"):
        run_simulate(job(folder, "no", retrain_every=2, retrain={"rerank": {"k": 20}}))
    arms = {"a": folder / "rankings/rankings.parquet", "b": folder / "rankings/control.parquet"}
    with pytest.raises(ConfigError, match="fits one treatment, not 2"):
        run_simulate(job(folder, "no", retrain_every=2, treatment=arms))


def test_a_metric_that_needs_more_days_and_an_arm_called_control_are_refused(folder: Path):
    with pytest.raises(ConfigError, match="needs a test of at least 8 days"):
        run_simulate(job(folder, "no", primary="day-7 retention"))
    with pytest.raises(ConfigError, match="none of them 'control'"):
        run_simulate(job(folder, "no", treatment={"control": folder / "rankings/rankings.parquet"}))
    with pytest.raises(ConfigError, match="Name at least one"):
        run_simulate(job(folder, "no", treatment={}))
