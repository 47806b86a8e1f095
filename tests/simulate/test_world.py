"""People under lists, day after day: what fatigue, satisfaction, budgets and arrivals do, each against its formula."""

import numpy as np
import pandas as pd
import pytest
from numba import set_num_threads
from tiny_experiment import ITEMS, TIERS, environment, lists, users

from ltexpo.simulate.behaviour import BehaviourSettings, People, ShownLists, World, totals
from ltexpo.simulate.behaviour.uniforms import mix, poisson, uniform
from ltexpo.simulate.catalogue import Catalogue

N = 2_000
STILL = {"visits_per_day": 1.0, "activity_spread": 0.0, "fatigue": 0.0, "return_strength": 0.0, "leave_per_day": 0.0}


def world(rankings: pd.DataFrame | None = None, *, n: int = N, days: int = 10, seed: int = 1, **settings) -> World:
    chosen = BehaviourSettings(**STILL | settings)
    catalogue = Catalogue.of(ITEMS, TIERS)
    rankings = lists("a", "b", users(n)) if rankings is None else rankings
    known = environment(n)
    shown = ShownLists.of(rankings, pd.Index(users(n)), catalogue, known, name="lists", saturation=chosen.saturation)
    lived = World.begin(People.draw(n, chosen, seed, days=days), catalogue, known, chosen, seed, shown)
    for _ in range(days):
        lived.live()
    return lived


def total(lived: World, name: str) -> float:
    return float(lived.totals[:, totals.NAMES.index(name)].sum())


def test_uniforms_are_uniform_and_do_not_repeat():
    state = mix(np.uint64(3), 5)
    drawn = np.array([uniform(state, word) for word in range(20_000)])
    assert len(np.unique(drawn)) == len(drawn)
    assert np.histogram(drawn, 10, (0, 1))[0] == pytest.approx(2_000, abs=220)
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.03


def test_poisson_by_inversion_has_its_mean_and_rises_with_it():
    u = np.linspace(0.0005, 0.9995, 1_000)
    small, large = (np.array([poisson(x, mean) for x in u]) for mean in (0.7, 1.4))
    assert small.mean() == pytest.approx(0.7, abs=0.01)
    assert (large >= small).all()


def test_a_day_is_the_same_for_any_number_of_threads():
    one, two = [], []
    for threads, kept in ((1, one), (2, two)):
        set_num_threads(threads)
        lived = world(fatigue=0.2, leave_per_day=0.05, return_strength=1.0, budget=20.0)
        kept.extend([lived.totals.tobytes(), lived.everything().to_numpy().tobytes()])
    assert one == two


def test_fatigue_takes_its_share_of_attraction_each_time_a_slot_is_examined():
    lived = world(days=1, n=20_000, visits_per_day=2.0, fatigue=0.5)
    # Slot 1 is examined at each visit: after v visits its attraction is 0.3 · 0.5^v. Visits are Poisson(2).
    v = np.arange(30)
    p = np.exp(-2.0) * np.cumprod(np.r_[1.0, 2.0 / v[1:]])
    expected = (p * 0.3 * (1 - 0.5**v) / 0.5).sum()
    first = lived.everything().query("rank == 1")["clicked"].sum() / 20_000
    assert first == pytest.approx(expected, rel=0.03)


def test_fatigue_heals():
    tired, healed = (world(n=5_000, fatigue=0.3, recovery=recovery) for recovery in (0.0, 0.9))
    fresh = world(n=5_000)
    assert total(tired, "clicks") < 0.7 * total(healed, "clicks") < 0.7 * total(fresh, "clicks")


def test_items_below_others_of_their_category_attract_less_by_saturation():
    alike = pd.concat([ITEMS[["item_id", "title", "price"]], pd.Series(["x", "x", "y"], name="category")], axis=1)
    shown = ShownLists.of(
        lists("a", "b", users(3)), pd.Index(users(3)), Catalogue.of(alike, TIERS), environment(3), name="lists",
        saturation=0.25,
    )
    assert shown.attraction[0] == pytest.approx([0.3, 0.2 * 0.75])


def test_who_leaves_stays_away_and_bad_lists_make_more_leave():
    lived = world(days=20, leave_per_day=0.05)
    assert lived.state.stays.mean() == pytest.approx(0.95**20, abs=0.03)
    usual = world(days=0, leave_per_day=0.05, leave_strength=8.0, satisfaction_memory=0.5)
    everybody = np.ones(N, dtype=bool)
    good, bad = (
        usual.fork(ShownLists.of(rankings, pd.Index(users(N)), usual.catalogue, usual.environment, name="lists"),
                   everybody)
        for rankings in (lists("a", "b", users(N)), lists("c", "b", users(N)))
    )
    for _ in range(20):
        good.live()
        bad.live()
    assert bad.state.stays.mean() < good.state.stays.mean()


def test_nobody_spends_more_than_the_budget():
    lived = world(budget=15.0, budget_spread=0.5, n=500, days=25)
    revenue = lived.totals[:, totals.REVENUE]
    assert (revenue <= lived.people.budget + 1e-9).all()
    assert total(lived, "purchases") < total(world(n=500, days=25), "purchases")


def test_new_users_come_on_their_day_and_not_before():
    lived = world(new_users=0.5, days=10)
    new = lived.people.arrives > 0
    assert 0.4 < new.mean() < 0.5
    late = lived.people.arrives >= 5
    assert lived.totals[late, totals.VISITS].mean() < 0.5 * lived.totals[~new, totals.VISITS].mean()
    assert lived.totals[lived.people.arrives == 9, totals.ACTIVE].max() == 1
    before = World.begin(lived.people, lived.catalogue, lived.environment, lived.settings, 1, lived.lists, day=-3)
    before.live()
    assert before.totals[new].sum() == 0 and before.totals[~new].sum() > 0


def test_novelty_lifts_what_the_control_did_not_show_and_fades():
    control = world(days=0, novelty=1.0, novelty_half_life=1.0, n=20_000)
    fresh = ShownLists.of(lists("a", "c", users(20_000)), pd.Index(users(20_000)), control.catalogue,
                          control.environment, name="lists")
    treated = control.fork(fresh, np.ones(20_000, dtype=bool))
    rates = []
    for _ in range(5):
        before = treated.counts()
        treated.live()
        after = treated.counts()
        second = [table[table["rank"] == 2] for table in (before, after)]
        rates.append((second[1]["clicked"].sum() - second[0]["clicked"].sum())
                     / (second[1]["shown"].sum() - second[0]["shown"].sum()))
    # Attraction 0.1, examined half the time, and on the first day twice as attractive.
    assert rates[0] == pytest.approx(0.5 * 0.1 * 2, rel=0.1)
    assert rates[4] == pytest.approx(0.5 * 0.1 * (1 + 0.5**4), rel=0.12)


def test_a_user_with_several_lists_sees_one_a_visit():
    n = 400
    two = pd.concat([
        lists(first, second, users(n)).assign(user_id=lambda frame: frame["request_id"],
                                              request_id=lambda frame, tag=first: frame["request_id"] + tag)
        for first, second in (("a", "b"), ("c", "b"))
    ])
    lived = world(two, n=n)
    shown = lived.everything().query("rank == 1").groupby("item")["shown"].sum()
    assert shown.sum() == total(lived, "visits")
    assert shown.min() / shown.sum() == pytest.approx(0.5, abs=0.03)


def test_other_lists_keep_tiredness_and_what_was_counted():
    lived = world(fatigue=0.5, recovery=0.0, days=5)
    clicks = total(lived, "clicks")
    lived.show(lived.lists)
    lived.live()
    again = world(fatigue=0.5, recovery=0.0, days=6)
    assert total(lived, "clicks") == total(again, "clicks") > clicks
    assert lived.items()["clicks"].sum() == total(lived, "clicks")
