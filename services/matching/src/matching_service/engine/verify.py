"""Check a round's certificate against the auditor's pool, with numpy and nothing of the engine.

Run: python verify.py certificate.json pool.npz [public.json salt.txt [report.json]]

It goes through every pair: who may be matched, what each pair is worth, whether the matching keeps
to seats, floors and ceilings, and whether its prices prove that no matching is worth more:

    any matching's value  <=  sum of what each mentee could gain at most + sum of seats * price

Scores are rounded: what is a millionth of the sum of scores below the best passes.
"""

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

Array = Any  # of numpy
Sheet = dict[str, Array]
TOLERANCE = 1e-6  # of the sum of scores: the engine rounds a score to 24 bits
BLOCK = 256  # mentees at once
COARSEST = 1 << 12  # units of a score, at least
HIGHEST = 1 << 56  # of any number, so that what a mentee gains fits into 63 bits
LISTS = ("lines", "evaluates", "tokens", "conflicts", "blocked", "met")
BARRING = "lab-lab lines-lines unit-evaluates evaluates-unit person-person tokens-tokens tokens-conflicts conflicts-tokens blocked-person person-blocked met-person"


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


def facts(pool: Sheet, side: str, name: str) -> Any:
    """Return (person, value) of all that one side has of something: of a list, or one each."""
    values = pool[f"{side}_{name}"]
    begin = pool.get(f"{side}_{name}_begin", np.arange(len(values) + 1))
    who = np.repeat(np.arange(len(begin) - 1), np.diff(begin))
    return zip(who[values >= 0].tolist(), values[values >= 0].tolist(), strict=True)


def barred_pairs(pool: Sheet) -> tuple[Array, Array]:
    """Return (mentees, mentors), mentees ascending, barred by something about just those two."""
    found: set[tuple[int, int]] = set()
    for ours, theirs in (pair.split("-") for pair in BARRING.split()):
        mentors: dict[int, list[int]] = {}
        for i, value in facts(pool, "mentor", theirs):
            mentors.setdefault(value, []).append(i)
        found |= {(j, i) for j, v in facts(pool, "mentee", ours) for i in mentors.get(v, ())}
    pairs = np.array(sorted(found), np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


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
        """Read what is claimed, and what follows from it."""
        self.claimed, self.pool = certificate, pool
        names = ("terms", "scale", "level", "bench_prices", "mentee", "mentor", "prices")
        terms, self.scale, self.level, dear, *claims = (certificate[name] for name in names)
        floors, self.ceilings = terms["floors"], terms["ceilings"]
        numbers = [self.scale, self.level]
        for some in (*claims, dear.values(), floors.values(), self.ceilings.values()):
            numbers += some
        whole = all(type(number) is int and 0 <= number < HIGHEST for number in numbers)
        require(whole and self.scale >= COARSEST, "a number is not whole, or out of its range")
        self.mentee, self.mentor, self.prices = (np.array(claim, np.int64) for claim in claims)
        self.seats, self.center = pool["seats"].astype(np.int64), pool["mentee_center"]
        self.count, centers = len(self.center), len(pool["centers"])
        require({*floors, *self.ceilings} <= set(map(str, range(centers))), "a center is unknown")
        require(len(self.prices) == len(self.seats), "a price is missing")
        pairs = set(zip(*claims[:2], strict=True))
        require(len(pairs) == len(self.mentee), "a pair is matched twice")
        self.given = np.bincount(self.mentee, minlength=self.count)
        served = np.bincount(self.center[self.given > 0], minlength=centers)
        self.served, self.people = served.tolist(), np.bincount(self.center, minlength=centers)
        self.wanted = np.where(
            np.isin(self.center, [int(c) for c in self.ceilings]), 1, pool["wanted"]
        )
        asked = bool(terms["floor"] or floors or self.ceilings)
        self.first = self.level * (1 + asked)
        self.benches = {}  # (center, worth of a place): (seats, price)
        for c, people in enumerate(self.people.tolist() if asked else ()):
            most = min(people, self.ceilings.get(str(c), people))
            share = int(
                np.ceil(terms["floor"] * sum(self.served) / max(1, self.count) * people - 1e-9)
            )
            floor = min(most, max(floors.get(str(c), 0), share))
            for kind, worth, seats in (("ceiling", 4, people - most), ("floor", 1, most - floor)):
                if seats:
                    self.benches[c, worth * self.level] = seats, dear[f"{c} {kind}"]

    def keeps_to_what_was_asked(self) -> None:
        """Check everything about the matching but the rules and its value."""
        retention, share = (self.claimed["terms"][name] for name in ("retention", "floor"))
        require(0 <= retention < HIGHEST and 0 <= share <= 1, "what was asked is out of its range")
        require((self.given <= self.wanted).all(), "a mentee has more mentors than were wanted")
        taken = np.bincount(self.mentor, minlength=len(self.seats))
        require((taken <= self.seats).all(), "a mentor has more mentees than seats")
        require(all(self.served[int(c)] <= n for c, n in self.ceilings.items()), "above a ceiling")
        least = int(min(self.wanted.sum(), self.seats.sum())) * (3 + retention) * self.scale
        require(self.level > least, "the level of being served is too low")

    def sums(self) -> tuple[float, int, int]:
        """Return the sum of scores, the matching's value, and what no matching's value is above."""
        shape = len(self.pool["criteria"]), 2
        pairs = Pairs(self.pool, np.array(self.claimed["weights"], float).reshape(shape))
        taken = zip(self.seats.tolist(), self.prices.tolist(), strict=True)
        bound = sum(seats * price for seats, price in [*taken, *self.benches.values()])
        points, value, rest = 0.0, 0, np.zeros(self.count, np.int64)
        unserved = (self.people - self.served).tolist()
        for (c, worth), (seats, price) in self.benches.items():
            rest[self.center == c] = np.maximum(rest[self.center == c], worth - price)
            value += worth * min(seats, unserved[c])
            unserved[c] -= min(seats, unserved[c])
        ours, theirs = self.pool["incumbent_mentee"], self.pool["incumbent_mentor"]
        for begin in range(0, self.count, BLOCK):
            own = slice(begin, min(begin + BLOCK, self.count))
            keys = pairs.keys(own)
            mine, stay = ((who >= begin) & (who < own.stop) for who in (self.mentee, ours))
            at = self.mentee[mine] - begin, self.mentor[mine]
            kept = ours[stay] - begin, theirs[stay]
            require((keys[at] >= 0).all(), "a pair is matched that breaks a rule")
            points += float((keys[at] % 2).sum())
            keys[kept] += np.where(keys[kept] >= 0, self.claimed["terms"]["retention"], 0)
            value += round(keys[at].sum() * self.scale) + self.first * len(np.unique(at[0]))
            bound += sum(self.most(keys, own, rest[own]).tolist())
        return points, value, bound

    def most(self, keys: Array, own: slice, rest: Array) -> Array:
        """Return what each mentee of a range could gain at most at these prices."""
        wanted = self.wanted[own]
        gains = np.rint(keys * self.scale).astype(np.int64) + (self.first - self.prices)
        none = np.zeros((len(keys), wanted.max()), np.int64)  # there may be too few mentors
        gains = np.hstack([np.where((keys >= 0) & (self.seats > 0), gains, 0), none])
        top = -np.sort(-gains, axis=1)[:, : wanted.max()]
        more = np.where(np.arange(1, wanted.max()) < wanted[:, None], top[:, 1:] - self.first, 0)
        return np.maximum(np.maximum(0, top[:, 0]) + np.maximum(0, more).sum(axis=1), rest)


def verify(certificate: dict[str, Any], pool: Sheet) -> dict[str, Any]:
    """Return the figures that were checked.

    Raises:
        RefusedError: something is wrong.
    """
    try:
        return _checked(certificate, pool)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RefusedError(f"the certificate is not whole: {error!r}") from error


def _checked(certificate: dict[str, Any], pool: Sheet) -> dict[str, Any]:
    require(pool_hash(pool) == certificate["pool"], "the pool is not the one that was matched")
    for name in ("format", "judged_at", "centers", "criteria"):
        require(pool[name].tolist() == certificate[name], f"{name}: it is not the pool's")
    seed = f"{certificate['programme']}/{certificate['criteria_version']}"
    require(certificate["seed"] == seed, "the seed does not follow from programme and criteria")
    for side in ("mentee", "mentor"):
        lots = [lot_of(seed, who) for who in certificate[f"{side}s"]]
        require(pool[f"{side}_lot"].tolist() == lots, f"the {side}s' names are not the pool's")
    case, report = Case(certificate, pool), certificate["report"]
    case.keeps_to_what_was_asked()
    points, value, bound = case.sums()
    near, gap = TOLERANCE * max(1.0, points), (bound - value) / case.scale
    require(abs(gap) <= near, f"the prices leave a gap of {gap:.6f}")
    require(abs(report["points"] - points) <= near, "the sum of scores is wrong")
    told = {str(c): case.served[c] for c, people in enumerate(case.people) if people}
    figures = {"served": sum(case.served), "points": report["points"], "served_by_center": told}
    require(report == figures | {"sha256": report["sha256"]}, "a number of people is wrong")
    pairs = case.count * len(case.seats)
    return {"served": figures["served"], "points": points, "gap": gap, "pairs": pairs}


if __name__ == "__main__":
    if len(sys.argv) not in {3, 5, 6}:
        sys.exit(__doc__)
    try:
        claim, *more = (Path(name).read_bytes() for name in (sys.argv[1], *sys.argv[3:]))
        claimed = json.loads(claim)
        figures = verify(claimed, dict(np.load(sys.argv[2])))
        if more:
            tied = commitment(claimed, more[1].decode().strip())
            require(json.loads(more[0])["commitment"] == tied, "it is not what was published")
        for written in more[2:]:
            is_its = claimed["report"]["sha256"] == hashlib.sha256(written).hexdigest()
            require(is_its, "the report is not the one of this round")
    except (RefusedError, OSError, ValueError, zipfile.BadZipFile) as error:
        sys.exit(f"refused: {error}")
    sys.stdout.write(f"{json.dumps(figures)}\n")
