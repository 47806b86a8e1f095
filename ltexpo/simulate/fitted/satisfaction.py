"""Visits with and without a click → each user's satisfaction at the start of every day (compiled)."""

import numba


@numba.njit(cache=True)
def follow(user, day, clicked, memory, usual, strength, n, s, z):
    """Fill n, s, z (U, D) from visits (N,) in the order of user and time: `user` codes, `day` numbers, `clicked`.

    n: visits of the day. s: satisfaction at the day's start, an exponential mean with `memory` of visits with a click.
    z: how far s is above the user's usual share of them, the posterior mean from her visits so far under a Beta prior
    of mean `usual` and `strength` pseudo-visits; s begins with it, too.
    """
    start = 0
    while start < len(user):
        who = user[start]
        end = start
        while end < len(user) and user[end] == who:
            end += 1
        recent, kept, clicks, place = 0.0, 1.0, 0.0, start
        for today in range(n.shape[1]):
            # What nobody has seen yet is what is usual for her, as far as her visits so far tell.
            own = (strength * usual + clicks) / (strength + place - start)
            s[who, today] = recent + kept * own
            z[who, today] = s[who, today] - own
            while place < end and day[place] == today:
                n[who, today] += 1
                hit = 1.0 if clicked[place] else 0.0
                recent, kept = memory * recent + (1 - memory) * hit, memory * kept
                clicks += hit
                place += 1
        start = end
