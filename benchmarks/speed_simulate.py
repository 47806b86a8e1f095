"""Simulated impressions per second, memory by days, and whether one and two threads give the same bytes.

    python benchmarks/speed_simulate.py

Users see lists of ten random products of a made shop; position, fatigue, returning and leaving are on.
"""

import argparse
import hashlib
import os
import platform
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
from numba import get_num_threads

from ltexpo.data import TailSpec
from ltexpo.data.synthetic.shop import make_shop
from ltexpo.simulate import KnownEnvironment
from ltexpo.simulate.behaviour import BehaviourSettings, People, ShownLists, World
from ltexpo.simulate.catalogue import Catalogue

K = 10
BEHAVIOUR = BehaviourSettings(visits_per_day=2.0, activity_spread=0.8, budget=200.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=250_000)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--impressions", type=float, default=1e8)
    parser.add_argument("--hash", type=int, help="only print a hash of what so many days leave (used by itself)")
    options = parser.parse_args()
    if options.hash:
        print(_hash(_world(20_000), options.hash))
        return
    print(f"{os.cpu_count()} cores, {get_num_threads()} threads, {platform.machine()}, numba's first run not counted\n")
    _world(1_000).live()
    begin = time.perf_counter()
    world = _world(options.users)
    ready = time.perf_counter()
    print(f"{options.users:,} users, lists of {K}: ready in {ready - begin:.1f} s, "
          f"peak memory {_peak():.2f} GiB\n")
    print("| days | impressions | s | million a second | peak memory GiB |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    while world.totals[:, 1].sum() < options.impressions:
        for _ in range(options.days):
            world.live()
        shown, seconds = world.totals[:, 1].sum(), time.perf_counter() - ready
        rate = shown / seconds / 1e6
        print(f"| {world.day} | {shown:,.0f} | {seconds:.1f} | {rate:.1f} | {_peak():.2f} |", flush=True)
    hashes = [
        subprocess.run([sys.executable, __file__, "--hash", "10"], env=os.environ | {"NUMBA_NUM_THREADS": threads},
                       capture_output=True, text=True, check=True).stdout.strip()
        for threads in ("1", "2")
    ]
    print(f"\n1 and 2 threads, 20,000 users, 10 days: {'the same bytes' if len(set(hashes)) == 1 else hashes}")


def _world(n_users: int) -> World:
    shop = make_shop(n_items=20_000, n_users=min(n_users, 50_000), n_days=2, rng=0)
    items, events = shop.dataset.items, shop.dataset.require_events("the benchmark")
    rng = np.random.default_rng(0)
    # Each of the shop's users stands for several with lists of their own.
    users = pd.Index([f"{name}-{copy}" for copy in range(-(-n_users // len(shop.truth.users)))
                      for name in shop.truth.users.ids][:n_users]).sort_values()
    catalogue = Catalogue.of(items, TailSpec().assign(items, events))
    step = len(catalogue) // K
    chosen = rng.permuted(np.arange(K)[None, :].repeat(n_users, 0), axis=1) * step + rng.integers(0, step, (n_users, K))
    rankings = pd.DataFrame({
        "request_id": np.repeat(users, K), "rank": np.tile(np.arange(1, K + 1), n_users),
        "item_id": catalogue.ids[chosen.ravel()],
    })
    environment = _Copies(shop.truth)
    people = People.draw(n_users, BEHAVIOUR, 1, days=100)
    lists = ShownLists.of(rankings, users, catalogue, environment, name="lists")
    return World.begin(people, catalogue, environment, BEHAVIOUR, 1, lists)


class _Copies(KnownEnvironment):
    """The truth, in which 'u-3' is u."""

    def attraction(self, user_ids, item_ids):  # type: ignore[no-untyped-def]
        return super().attraction(pd.Index(user_ids).str.rsplit("-", n=1).str[0], item_ids)

    def purchase_given_click(self, user_ids, item_ids):  # type: ignore[no-untyped-def]
        return super().purchase_given_click(pd.Index(user_ids).str.rsplit("-", n=1).str[0], item_ids)


def _hash(world: World, days: int) -> str:
    for _ in range(days):
        world.live()
    told = hashlib.sha256(world.totals.tobytes())
    told.update(world.everything().to_numpy().tobytes())
    return told.hexdigest()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
