#!/usr/bin/env python3
"""Writes trec_cases.json: random rankings and what PyPI's pytrec_eval says of them.

  pip install pytrec-eval-terrier && tests/retrieval/make_trec_cases.py

The package is pytrec_eval with trec_eval in its wheel. A case is a gallery (each item's label), a query (its labels),
a ranking (items, best first), and trec_eval's precision and recall at four depths, R-precision and reciprocal rank, which
the protocol strict defines in the same way.
"""
import json
import pathlib
import random

import pytrec_eval

DEPTHS = [1, 5, 10, 50]
CASES = 250


def make_case(draw):
    gallery = [draw.randrange(draw.choice([2, 5, 9])) for _ in range(draw.randint(1, 60))]
    query = sorted({draw.choice(gallery)} | {draw.randrange(12) for _ in range(draw.choice([0, 0, 1, 3]))})
    ranking = draw.sample(range(len(gallery)), draw.randint(1, len(gallery)))
    return {"gallery": gallery, "query": query, "ranking": ranking}


def measure(case):
    relevant = {str(item): int(label in case["query"]) for item, label in enumerate(case["gallery"])}
    scores = {str(item): float(-rank) for rank, item in enumerate(case["ranking"])}
    depths = ",".join(map(str, DEPTHS))
    names = {f"P.{depths}", f"recall.{depths}", "Rprec", "recip_rank"}
    return pytrec_eval.RelevanceEvaluator({"q": relevant}, names).evaluate({"q": scores})["q"]


def main():
    draw = random.Random(20)
    cases = []
    for _ in range(CASES):
        case = make_case(draw)
        cases.append({**case, "expected": dict(sorted(measure(case).items()))})
    path = pathlib.Path(__file__).with_name("trec_cases.json")
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    path.write_text(f'{{"depths":{json.dumps(DEPTHS)},"cases":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
