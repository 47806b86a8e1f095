"""A job's result → the figures that a tracker is told: aggregates only, by names that stay from night to night."""

from ltexpo.ranking.evaluate import Evaluation
from ltexpo.ranking.model import Model
from ltexpo.ranking.train_report import TrainReport
from ltexpo.rerank import Certificate
from ltexpo.simulate import ExperimentResult
from ltexpo.tracking.run import Figures

MOST_GOALS = 50
"""With more goals those of the highest prices are told; certificate.json holds them all."""


def rerank_figures(certificate: Certificate) -> Figures:
    """Clicks before and after, the bound, and each goal's target, achieved and price."""
    goals = certificate.goals
    dearest = goals.reindex(goals["price"].abs().sort_values(ascending=False, kind="stable").index[:MOST_GOALS])
    of_goals = {
        f"goal {goal['group']}{'' if goal['value'] is None else ' ' + str(goal['value'])} {goal['kind']}/{name}":
            float(goal[name])
        for goal in dearest.astype(object).where(dearest.notna(), None).to_dict("records")
        for name in ("target", "before", "achieved", "price")
    }
    bound = {} if certificate.gap is None else {"gap": certificate.gap}
    facts = {name: float(certificate.facts[name]) for name in ("requests", "boosted", "passes", "seconds")}
    return {
        "clicks before": certificate.clicks_before, "clicks after": certificate.clicks_after,
        "click loss": certificate.click_loss, **bound, "goals": float(len(goals)),
        "goals met": float(goals["met"].sum()), **facts, **of_goals,
    }


def evaluate_figures(result: Evaluation) -> Figures:
    """Every metric of every arm and tier, with its interval."""
    return {
        f"{row['arm']}/{row['metric'].replace('@', ' at ')} {row['tier']}{end}": float(row[column])
        for row in result.to_pandas().astype(object).to_dict("records")
        for column, end in (("value", ""), ("low", " low"), ("high", " high"))
    }


def simulate_figures(result: ExperimentResult) -> Figures:
    """Each arm's relative effects over all users, with their intervals, by reading."""
    rows = result.effects[result.effects["by"] == "all"]
    return {
        f"{row['arm']}/{row['reading']}/{row['metric']}{end}": float(row[column])
        for row in rows.to_dict("records")
        for column, end in (("relative", ""), ("relative_low", " low"), ("relative_high", " high"))
    }


def train_figures(report: TrainReport, model: Model) -> Figures:
    """Model and blend on held-out users, calibration, and the networks' held-out losses as curves."""
    figures: dict[str, float | list[float]] = {
        f"{row['metric']} {row['tier']}/{name}": float(row[column])
        for row in report.measures.to_dict("records")
        for name, column in (("blend", "blend"), ("model", "model"), ("difference", "value"))
    }
    reader = model.reader_
    if reader.graph_ is not None:
        figures["graph network/held-out loss"] = list(reader.graph_.history_)
    if reader.match_ is not None:
        figures["match model/held-out loss"] = list(reader.match_.losses_)
    return {**figures, "expected calibration error": report.calibration_error}
