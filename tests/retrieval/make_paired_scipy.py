"""Writes paired_scipy.json: what scipy makes of the same pairs. Run with numpy and scipy; the result is committed.

  python3 tests/retrieval/make_paired_scipy.py > tests/retrieval/paired_scipy.json
"""
import json

import numpy as np
import scipy
from scipy.stats import bootstrap, false_discovery_control, permutation_test

EXACT_UP_TO = 14


def mean_difference(first, second, axis=-1):
    return np.mean(second - first, axis=axis)


def pairs(draw, queries, kind):
    """Values in steps, as those of metrics: continuous, coarse with many ties, or a second system that only loses."""
    if kind == "fine":
        first = draw.random(queries).round(3)
        return first, np.clip(first + draw.normal(0.05, 0.15, queries), 0, 1).round(3)
    if kind == "coarse":
        first = draw.integers(0, 5, queries) / 4
        return first, np.clip(first + draw.choice([-0.25, 0, 0.25], queries, p=[0.2, 0.4, 0.4]), 0, 1)
    first = draw.random(queries).round(3)
    second = first.copy()
    worse = draw.random(queries) < 0.4
    second[worse] = (second[worse] * 0.85).round(3)
    return first, second


def case(first, second):
    exact = len(first) <= EXACT_UP_TO
    options = {"n_resamples": np.inf} if exact else {"n_resamples": 200_000, "batch": 2000, "random_state": 1}
    test = permutation_test((first, second), mean_difference, permutation_type="samples", vectorized=True,
                            alternative="two-sided", **options)
    drawn = bootstrap((first, second), mean_difference, paired=True, vectorized=True, n_resamples=100_000, batch=2000,
                      method="percentile", random_state=2)
    return {"first": first.tolist(), "second": second.tolist(), "exact": exact, "p": float(test.pvalue),
            "low": float(drawn.confidence_interval.low), "high": float(drawn.confidence_interval.high),
            "standard_error": float(drawn.standard_error)}


def main():
    draw = np.random.default_rng(5)
    sizes = [(2, "fine"), (5, "fine"), (8, "coarse"), (10, "fine"), (12, "coarse"), (14, "worse"), (40, "fine"),
             (120, "coarse"), (300, "worse")]
    families = [[0.01, 0.04, 0.03, 0.005], [0.2], [0.001, 0.001, 0.8, 1.0, 0.05, 0.049, 0.3]]
    print(json.dumps({
        "scipy": scipy.__version__,
        "cases": [case(*pairs(draw, queries, kind)) for queries, kind in sizes],
        "families": [{"p": p, "benjamini_hochberg": false_discovery_control(p).tolist()} for p in families]}))


if __name__ == "__main__":
    main()
