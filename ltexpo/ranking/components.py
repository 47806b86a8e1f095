"""Settings → the components that take part, and which were left out and why."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from ltexpo.config import Settings
from ltexpo.errors import ConfigError
from ltexpo.ranking.content import Content, ContentSettings
from ltexpo.ranking.cooccurrence import Cooccurrence, CooccurrenceSettings
from ltexpo.ranking.ease import Ease, EaseSettings
from ltexpo.ranking.popularity import Popularity, PopularitySettings
from ltexpo.ranking.repeat import Repeat, RepeatSettings
from ltexpo.ranking.scorer import Scorer
from ltexpo.ranking.taste import Taste, TasteSettings

ComponentName = Literal["popularity", "repeat", "cooccurrence", "content", "taste", "ease"]


class ComponentSettings(Settings):
    """Which baselines are blended, and how each works."""

    components: tuple[ComponentName, ...] | None = None
    """Components to blend; null: all that suit the data, and what is left out is said."""
    auto_ease_items: int = Field(4_000, ge=0)
    """With components null, ease takes part up to this many items with interactions: beyond, it is slow."""
    popularity: PopularitySettings = PopularitySettings()
    """The recently popular, the same for everyone; always part of the blend."""
    repeat: RepeatSettings = RepeatSettings()
    """The user's own items again."""
    cooccurrence: CooccurrenceSettings = CooccurrenceSettings()
    """What others took together with the user's items."""
    content: ContentSettings = ContentSettings()
    """What resembles the user's items in attributes and words; reaches products that nobody has taken yet."""
    taste: TasteSettings = TasteSettings()
    """What is popular among the attribute values and words of the user's items."""
    ease: EaseSettings = EaseSettings()
    """Linear autoencoder."""


SCORERS: Mapping[str, Callable[[Any], Scorer]] = {
    scorer.name: scorer for scorer in (Popularity, Repeat, Cooccurrence, Content, Taste, Ease)
}
"""In the order in which they are blended."""


def components_named(settings: ComponentSettings, names: Iterable[str]) -> list[Scorer]:
    """New scorers, not fitted."""
    return [SCORERS[name](getattr(settings, name)) for name in names]


def choose_components(
    settings: ComponentSettings, *, taken_items: int, exclude_seen: bool
) -> tuple[list[str], dict[str, str]]:
    """Names of the components to fit, popularity first, and name → reason for those that are left out.

    `taken_items` is how many items have interactions. Raises `ConfigError` when a named one cannot take part.
    """
    left_out: dict[str, str] = {}
    if settings.components is not None:
        if exclude_seen and "repeat" in settings.components:
            raise ConfigError("components names 'repeat', but exclude_seen leaves it nothing. Drop one of the two.")
        wanted = {"popularity", *settings.components}
        left_out = {name: "not named in components" for name in SCORERS if name not in wanted}
    else:
        if exclude_seen:
            left_out["repeat"] = "exclude_seen leaves it nothing"
        if taken_items > settings.auto_ease_items:
            left_out["ease"] = (
                f"{taken_items:,} items have interactions, more than auto_ease_items = {settings.auto_ease_items:,}"
            )
    return [name for name in SCORERS if name not in left_out], left_out
