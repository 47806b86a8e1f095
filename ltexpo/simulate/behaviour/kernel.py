"""One day of every user under one arm's lists: visits, clicks, purchases, tiredness, coming back (compiled)."""

import numba
import numpy as np

from ltexpo.simulate.behaviour import totals as t
from ltexpo.simulate.behaviour.uniforms import BUY, CLICK, EXAMINE, LEAVE, REQUEST, VISITS, mix, poisson, uniform
from ltexpo.simulate.clicks.draw import draw_clicks


@numba.njit(parallel=True, cache=True)
def live_day(
    seed, day, present, rate, arrives, usual, first, slots, item, attraction, purchase, satisfied, pair, lift, price,
    tier, examination, kind, examined_after, after_click, after_skip, fatigue, memory, return_strength, leave_per_day,
    leave_strength, stays, satisfaction, budget_left, active, seen, totals, shown, clicked, bought,
):
    """Add what happened on `day` to `totals` (U, `totals.WIDTH`), and to `shown`, `clicked`, `bought` (R, K).

    What is given of the users, all (U,): `present` (takes part), `rate` (usual visits a day), `arrives` (their first
    day), `usual` (the satisfaction that the control would give); of the lists, see `ShownLists`, with `pair` (R, K) the
    place of each user–item pair in `seen`, and `lift` (R, K) a factor on the attraction; of the catalogue `price` and
    `tier` (I,); then the click model's parameters and the settings. What changes: `stays`, `satisfaction`,
    `budget_left`, `active` (U,) and `seen` (P,), how often each pair was examined, as it is expected from its slot.

    A user only reads and writes what is hers, and every number is a function of where we are, so the outcome is the
    same for any number of threads.
    """
    for user in numba.prange(len(rate)):
        here = mix(mix(np.uint64(seed), user), day)
        # Yesterday moves into bit 0; bit 6 is the day a week ago.
        history = active[user] << np.uint8(1)
        came_yesterday, came_last_week = (active[user] & np.uint8(1)) > 0, (history & np.uint8(128)) > 0
        active[user] = history
        if not present[user] or day < arrives[user]:
            continue
        if came_yesterday:
            totals[user, t.DUE_1] += 1
        if came_last_week:
            totals[user, t.DUE_7] += 1
        if not stays[user]:
            continue
        gain = satisfaction[user] - usual[user]
        visits = poisson(uniform(here, VISITS), rate[user] * np.exp(return_strength * gain))
        n_lists = first[user + 1] - first[user]
        chances, uniforms = np.empty(item.shape[1]), np.empty(2 * item.shape[1])
        clicks = np.empty(item.shape[1], dtype=np.bool_)
        for visit in range(visits):
            now = mix(here, 1000 + visit)
            row = first[user] + min(np.int64(uniform(now, REQUEST) * n_lists), n_lists - 1)
            n = slots[row]
            examines, attracts, buys = mix(now, EXAMINE), mix(now, CLICK), mix(now, BUY)
            for slot in range(n):
                tired = (1.0 - fatigue) ** seen[pair[row, slot]] if fatigue > 0 else 1.0
                chances[slot] = min(attraction[row, slot] * lift[row, slot] * tired, 1.0)
                # By item, also for the slot: an item that moves a little meets nearly the same fate in both arms.
                uniforms[2 * slot] = uniform(examines, item[row, slot])
                uniforms[2 * slot + 1] = uniform(attracts, item[row, slot])
            depth = draw_clicks(
                kind, examined_after, after_click, after_skip, chances[:n], satisfied[row, :n], uniforms[: 2 * n],
                clicks[:n],
            )
            any_click = False
            for slot in range(n):
                thing = item[row, slot]
                group = tier[thing]
                shown[row, slot] += 1
                seen[pair[row, slot]] += examination[slot]
                totals[user, t.IMPRESSIONS_OF + group] += 1
                totals[user, t.EXPOSURE_OF + group] += examination[slot]
                if not clicks[slot]:
                    continue
                any_click = True
                clicked[row, slot] += 1
                totals[user, t.CLICKS] += 1
                totals[user, t.CLICKS_OF + group] += 1
                if price[thing] <= budget_left[user] and uniform(buys, thing) < purchase[row, slot]:
                    bought[row, slot] += 1
                    budget_left[user] -= price[thing]
                    totals[user, t.PURCHASES] += 1
                    totals[user, t.PURCHASES_OF + group] += 1
                    totals[user, t.REVENUE] += price[thing]
            totals[user, t.VISITS] += 1
            totals[user, t.IMPRESSIONS] += n
            totals[user, t.DEPTH] += depth
            satisfaction[user] = memory * satisfaction[user] + (1.0 - memory) * (1.0 if any_click else 0.0)
        if visits > 0:
            active[user] |= np.uint8(1)
            totals[user, t.ACTIVE] += 1
            if came_yesterday:
                totals[user, t.BACK_1] += 1
            if came_last_week:
                totals[user, t.BACK_7] += 1
        gain = satisfaction[user] - usual[user]
        stays[user] = uniform(here, LEAVE) >= leave_per_day * np.exp(-leave_strength * gain)
