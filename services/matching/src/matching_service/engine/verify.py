"""Check a round's certificate against the auditor's pool, with numpy and nothing of the engine.

Run: python verify.py certificate.json pool.npz [public.json salt.txt]

It goes through every pair: who may be matched, what each pair is worth, whether the matching keeps
to seats, floors and ceilings, and whether its prices prove that no matching is worth more:

    any matching's value  <=  sum of what each mentee could gain at most + sum of seats * price
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

Array = Any  # of numpy
Sheet = dict[str, Array]
TOLERANCE = 1e-6  # of the sum of scores: the engine rounds a score to 24 bits
BLOCK = 256  # mentees at once
COARSEST = 1 << 12  # units of a score, at least
LISTS = ("lines", "evaluates", "tokens", "conflicts", "blocked", "met")


class RefusedError(Exception):
    """The certificate is wrong; the text says where."""


def require(holds: Any, said: str) -> None:
    """Refuse unless it holds."""
    if not holds:
        raise RefusedError(said)


def pool_hash(pool: Sheet) -> str:
    """Return the hash of an auditor's pool: names, types, shapes and contents of its arrays."""
    found = hashlib.sha256()
    for name, array in sorted(pool.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode() + array.tobytes())
    return found.hexdigest()


def commitment(certificate: dict[str, Any], salt: str) -> str:
    """Return the salted hash that ties a certificate, and through it the pool, to its public part."""
    text = json.dumps(certificate, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()


def lot_of(seed: Any, person: str) -> int:
    """Return the lot that decides between equals: it follows from the seed and who somebody is."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{person}".encode()).digest()[:8], "big")


def meeting(ours: tuple[Array, Array], theirs: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return (mentees, mentors) whose lists, as (begins, values), have something in common."""
    mentee, mentor = (np.repeat(np.arange(len(b) - 1), np.diff(b)) for b, _ in (ours, theirs))
    order = np.argsort(theirs[1], kind="stable")
    first, last = (np.searchsorted(theirs[1][order], ours[1], side) for side in ("left", "right"))
    count = last - first
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(mentee, count), mentor[order][np.repeat(first, count) + nth]


def barred_pairs(pool: Sheet) -> tuple[Array, Array]:
    """Return (mentees, mentors), mentees ascending, barred by something about just those two."""

    def facts(side: str, name: str) -> tuple[Array, Array]:
        values = pool[f"{side}_{name}"]
        if name in LISTS:
            return pool[f"{side}_{name}_begin"], values
        return np.concatenate([[0], np.cumsum(values >= 0)]), values[values >= 0]

    alike = ("lab lab", "lines lines", "unit evaluates", "evaluates unit", "person person",
             "tokens tokens", "tokens conflicts", "conflicts tokens", "blocked person",
             "person blocked", "met person")  # fmt: skip
    found = [meeting(facts("mentee", a), facts("mentor", b)) for a, b in map(str.split, alike)]
    mentees, mentors = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(mentees, kind="stable")
    return mentees[order], mentors[order]


class Pairs:
    """Keys of all pairs: the score, and 2 more unless the pair comes after all others."""

    def __init__(self, pool: Sheet, weights: Array) -> None:
        """Score with these weights, [criteria, (mentee's, mentor's)]."""
        self.pool, self.weights, self.barred = pool, weights, barred_pairs(pool)
        bits = pool["mentee_readable"], pool["mentor_readable"]
        ours, theirs = (side[:, None] >> np.arange(len(weights)) & 1 for side in bits)
        self.readable = [(ours * weights[:, side], theirs) for side in (0, 1)]

    def keys(self, own: slice) -> Array:
        """Return float[mentees, mentors] of a range of mentees: -1 where a rule is broken."""
        pool, barred = self.pool, slice(*np.searchsorted(self.barred[0], (own.start, own.stop)))
        here, there = pool["mentee_center"][own, None], pool["mentor_center"][None]
        changed = np.minimum(pool["mentee_changed"][own, None], pool["mentor_changed"])
        fits = changed >= np.maximum(pool["center_oldest"][here], pool["center_oldest"][there])
        fits &= pool["center_refuses"][here, there] == 0
        fits &= (self.common("languages", own) > 0) & (self.common("starts", own) > 0)
        fits[self.barred[0][barred] - own.start, self.barred[1][barred]] = False
        later = (here == there) & (pool["center_prefers_others"][here] == 1)
        return np.where(fits, self.scores(own) + np.where(later, 0.0, 2.0), -1.0)

    def common(self, name: str, own: slice) -> Array:
        """Return how many bits both have."""
        ours, theirs = self.pool[f"mentee_{name}"][own].T, self.pool[f"mentor_{name}"].T
        words = zip(ours[:, :, None], theirs, strict=True)
        return sum(np.bitwise_count(a & b).astype(np.int64) for a, b in words)

    def scores(self, own: slice) -> Array:
        """Return the geometric mean of both gains; where one can't be read the other counts twice."""
        pool, bounds = self.pool, self.pool["term_begin"][own.start : own.stop + 1]
        terms = slice(bounds[0], bounds[-1])
        who = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        feature, late = pool["term_feature"][terms], int(pool["hours_criterion"][0])
        gains = []
        for side, view in enumerate(("mentee", "mentor")):
            x = np.zeros((len(bounds) - 1, pool["mentor_features"].shape[1]))
            weight = self.weights[pool["feature_criterion"][feature], side]
            np.add.at(x, (who, feature), weight * pool[f"term_{view}"][terms])
            (ours, theirs), total = self.readable[side], x @ pool["mentor_features"].T
            if late >= 0:
                share = np.minimum(1, self.common("free", own) / pool["plenty"][0])
                total += np.outer(ours[own, late], theirs[:, late]) * share
            known = ours[own] @ theirs.T
            gains.append(np.where(known > 0, total / np.where(known > 0, known, 1), np.nan))
        left, right = (np.where(np.isnan(a), b, a) for a, b in (gains, gains[::-1]))
        return np.sqrt(np.clip(np.nan_to_num(left * right), 0, 1))


class Case:
    """A certificate and its pool, laid side by side."""

    def __init__(self, certificate: dict[str, Any], pool: Sheet) -> None:
        """Read what is claimed."""
        self.claimed, self.pool = certificate, pool
        self.terms, self.levels = certificate["terms"], certificate["levels"]
        claims = (certificate[name] for name in ("mentee", "mentor", "prices"))
        self.mentee, self.mentor, self.prices = (np.array(claim, np.int64) for claim in claims)
        self.seats = pool["seats"].astype(np.int64)
        self.center, self.count = pool["mentee_center"], len(pool["mentee_center"])
        self.people = np.bincount(self.center, minlength=len(pool["center_oldest"])).tolist()
        self.ceilings = {int(c): most for c, most in self.terms["ceilings"].items()}
        has_ceiling = np.isin(self.center, list(self.ceilings))
        self.wanted = np.where(has_ceiling, 1, pool["wanted"]).astype(np.int64)
        m, pairs = len(self.seats), self.mentee * len(self.seats) + self.mentor
        require(len(self.mentee) == len(self.mentor), "a pair is not whole")
        require(((self.mentee >= 0) & (self.mentee < self.count)).all(), "a mentee is unknown")
        require(((self.mentor >= 0) & (self.mentor < m)).all(), "a mentor is unknown")
        require(len(np.unique(pairs)) == len(pairs), "a pair is matched twice")
        self.given = np.bincount(self.mentee, minlength=self.count)
        served = np.bincount(self.center[self.given > 0], minlength=len(self.people))
        self.served, self.scale = served.tolist(), self.levels["scale"]
        self.first = self.levels["served"] + self.levels["bench"]
        self.floors = {int(c): floor for c, floor in certificate["floors"].items()}
        self.benches = {}  # (center, worth of a place): (seats, price)
        for c, floor in self.floors.items():
            above = max(0, self.people[c] - self.ceilings.get(c, self.people[c]))
            kinds = (("ceiling", 4 * self.levels["served"], above),
                     ("floor", self.levels["bench"], self.people[c] - above - floor))  # fmt: skip
            for kind, worth, seats in kinds:
                if seats:
                    self.benches[c, worth] = seats, certificate["bench_prices"][f"{c} {kind}"]

    def matching_keeps_to_what_was_asked(self) -> None:
        """Check everything about the matching but the rules."""
        taken = np.bincount(self.mentor, minlength=len(self.seats))
        require((self.given <= self.wanted).all(), "a mentee has more mentors than were wanted")
        require((taken <= self.seats).all(), "a mentor has more mentees than seats")
        for c, most in self.ceilings.items():
            require(self.served[c] <= most, f"center {c} is above its ceiling")
        for c, floor in self.floors.items():
            rate = sum(self.served) / max(1, self.count)
            share = int(np.ceil(self.terms["floor"] * rate * self.people[c] - 1e-9))
            asked = max(self.terms["floors"].get(str(c), 0), share)
            most = min(self.people[c], self.ceilings.get(c, self.people[c]))
            require(floor == min(most, asked), f"the floor of center {c} is not what was asked")

    def levels_are_apart(self) -> None:
        """Check that one more who is served is worth more than all scores, and that prices are prices."""
        largest = (3 + self.terms["retention"]) * self.scale
        together = min(int(self.wanted.sum()), int(self.seats.sum()))
        asked = bool(self.terms["floor"] or self.terms["floors"] or self.ceilings)
        require(self.scale >= COARSEST, "scores are too coarse")
        require(self.levels["served"] > together * largest, "the level of being served is too low")
        require(self.levels["bench"] == asked * self.levels["served"], "the floors' level is wrong")
        require(len(self.floors) == asked * len(self.people), "the floor of a center is missing")
        require(len(self.prices) == len(self.seats), "a price is missing")
        prices = [*self.prices.tolist(), *(price for _, price in self.benches.values())]
        require(min(prices, default=0) >= 0, "a price is below 0")

    def sums(self) -> tuple[float, int, int]:
        """Return the sum of scores, the matching's value, and what no matching's value is above."""
        pairs = Pairs(self.pool, np.array(self.claimed["weights"], float).reshape(-1, 2))
        points, value = 0.0, 0
        bound = int((self.seats * self.prices).sum()) + sum(s * p for s, p in self.benches.values())
        rest = np.zeros(self.count)  # what a place on a bench gives
        unserved = [all_ - some for all_, some in zip(self.people, self.served, strict=True)]
        for (c, worth), (seats, price) in self.benches.items():
            rest[self.center == c] = np.maximum(rest[self.center == c], worth - price)
            value += worth * min(seats, unserved[c])
            unserved[c] -= min(seats, unserved[c])
        ours, theirs = self.pool["incumbent_mentee"], self.pool["incumbent_mentor"]
        for begin in range(0, self.count, BLOCK):
            own = slice(begin, min(begin + BLOCK, self.count))
            keys = pairs.keys(own)
            mine = (self.mentee >= begin) & (self.mentee < own.stop)
            at = self.mentee[mine] - begin, self.mentor[mine]
            require((keys[at] >= 0).all(), "a pair is matched that breaks a rule")
            points += float((keys[at] % 2).sum())
            mine = (ours >= begin) & (ours < own.stop)
            stay = ours[mine] - begin, theirs[mine]
            keys[stay] += np.where(keys[stay] >= 0, self.terms["retention"], 0)
            value += round(keys[at].sum() * self.scale) + self.first * len(np.unique(at[0]))
            bound += round(self.most(keys, own, rest[own]).sum())
        return points, value, bound

    def most(self, keys: Array, own: slice, rest: Array) -> Array:
        """Return what each mentee of a range could gain at most at these prices."""
        wanted = self.wanted[own]
        gains = keys * self.scale + (self.first - self.prices)
        none = np.zeros((len(keys), wanted.max()))  # there may be fewer mentors than are wanted
        gains = np.hstack([np.where((keys >= 0) & (self.seats > 0), gains, 0), none])
        top = -np.sort(-gains, axis=1)[:, : wanted.max()]
        more = np.where(np.arange(1, wanted.max()) < wanted[:, None], top[:, 1:] - self.first, 0)
        return np.maximum(np.maximum(0, top[:, 0]) + np.maximum(0, more).sum(axis=1), rest)


def verify(certificate: dict[str, Any], pool: Sheet) -> dict[str, Any]:
    """Return the figures that were checked.

    Raises:
        RefusedError: something is wrong.
    """
    require(pool_hash(pool) == certificate.get("pool"), "the pool is not the one that was matched")
    for side in ("mentee", "mentor"):
        lots = [lot_of(certificate.get("seed"), who) for who in certificate.get(f"{side}s", [])]
        require(pool[f"{side}_lot"].tolist() == lots, f"the {side}s' names are not the pool's")
    try:
        case, report = Case(certificate, pool), certificate["report"]
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise RefusedError(f"the certificate is not whole: {error!r}") from error
    case.matching_keeps_to_what_was_asked()
    case.levels_are_apart()
    points, value, bound = case.sums()
    near, gap = TOLERANCE * max(1.0, points), (bound - value) / case.scale
    require(abs(gap) <= near, f"the prices leave a gap of {gap:.6f}")
    require(abs(report["points"] - points) <= near, "the sum of scores is wrong")
    require(report["served"] == sum(case.served), "the number of people served is wrong")
    told = {str(c): case.served[c] for c, people in enumerate(case.people) if people}
    require(report["served_by_center"] == told, "a center's number of people served is wrong")
    pairs = case.count * len(case.seats)
    return {"served": sum(case.served), "points": points, "gap": gap, "pairs": pairs}


if __name__ == "__main__":
    try:
        claim, *public = (Path(name).read_text() for name in (sys.argv[1], *sys.argv[3:5]))
        found = verify(json.loads(claim), dict(np.load(sys.argv[2])))
        if public:
            tied = commitment(json.loads(claim), public[1].strip())
            require(json.loads(public[0])["commitment"] == tied, "it is not what was published")
    except RefusedError as error:
        sys.exit(f"refused: {error}")
    sys.stdout.write(f"{json.dumps(found)}\n")
