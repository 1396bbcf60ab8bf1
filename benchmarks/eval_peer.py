"""Both evaluation protocols in plain Python, as a script would compute them, for benchmarks/eval_speed.

  eval_peer.py --way published|lean --protocol product1m_official|strict|both RANKINGS GALLERY_LIST QUERY_LIST…

"published" works as the script that was published with Product1M does: the rankings are read once for each N, positives
are a list that is searched, and every id of a line is split off. "lean" does no work twice: one pass, sets, and for
product1m_official nothing of a line but what its figures depend on. Prints the figures as JSON.
"""
import argparse
import json

CUTOFFS = [10, 50, 100]


def read_list(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            fields = line.strip().split("#####")
            yield fields[0], fields[4].split("#;#")


class Lists:
    def __init__(self, gallery, queries):
        self.label_of = {item: labels[0] for item, labels in read_list(gallery)}
        self.queries = {query: labels for path in queries for query, labels in read_list(path)}
        self.items_of = {}
        for item, label in self.label_of.items():
            self.items_of.setdefault(label, []).append(item)


def official_recall(lists, labels, head, n):
    expected = {}
    for label in labels:
        expected[label] = expected.get(label, 0) + n // len(labels)
    found = {}
    for item in head:
        label = lists.label_of[item]
        if label in expected:
            found[label] = found.get(label, 0) + 1
    total = 0.0
    for label, count in found.items():
        most = min(expected[label], len(lists.items_of[label]))
        total += min(count, most) / most
    return total / len(expected)


def precisions(ranking, positives, k):
    hits, total = 0, 0.0
    for position in range(k):
        if ranking[position] in positives:
            hits += 1
            total += hits / (position + 1)
    return hits, total


def official_published(lists, path):
    result = {}
    for n in CUTOFFS:
        sums, lines = [0.0, 0.0, 0.0], 0
        with open(path, encoding="utf-8") as file:
            for line in file:
                lines += 1
                try:
                    query, *ranking = line.strip().split(",")
                    labels = lists.queries[query]
                    positives = []
                    for label in labels:
                        positives.extend(lists.items_of[label])
                    k = min(n, len(positives), len(ranking))
                    hits, total = precisions(ranking, positives, k)
                    sums[0] += total / hits if hits else 0.0
                    sums[1] += hits / k
                    sums[2] += official_recall(lists, labels, ranking[:n], n)
                except (KeyError, ZeroDivisionError):
                    continue
        result[f"top{n}"] = {name: value / lines for name, value in zip(("mAP", "Prec", "mAR"), sums)}
    return result


class Official:
    """The same figures, line by line as they come."""

    def __init__(self, lists):
        self.lists = lists
        self.sums = {n: [0.0, 0.0, 0.0] for n in CUTOFFS}
        self.lines = 0

    def add(self, query, head, length):
        self.lines += 1
        labels = self.lists.queries.get(query)
        if labels is None or any(label not in self.lists.items_of for label in labels):
            return
        positives = set().union(*(self.lists.items_of[label] for label in labels))
        listed = sum(len(self.lists.items_of[label]) for label in labels)
        for n, sums in self.sums.items():
            k = min(n, listed, length)
            if k == 0:
                continue
            hits, total = precisions(head, positives, k)
            sums[0] += total / hits if hits else 0.0
            sums[1] += hits / k
            try:
                sums[2] += official_recall(self.lists, labels, head[:n], n)
            except (KeyError, ZeroDivisionError):
                pass

    def result(self):
        return {f"top{n}": {name: value / self.lines for name, value in zip(("mAP", "Prec", "mAR"), sums)}
                for n, sums in self.sums.items()}


class Strict:
    def __init__(self, lists):
        self.lists = lists
        self.gallery = frozenset(lists.label_of)
        self.sums = {n: [0.0] * 5 for n in CUTOFFS}
        self.r_precision = self.reciprocal = 0.0
        self.ranked = set()

    def add(self, query, ranking):
        labels = set(self.lists.queries[query])
        distinct = set(ranking)
        if query in self.ranked or not ranking or len(distinct) != len(ranking) or not distinct <= self.gallery:
            raise SystemExit(f"query {query} is ranked twice, or ranks nothing, an unknown id or an id twice")
        self.ranked.add(query)
        positives = set().union(*(self.lists.items_of.get(label, ()) for label in labels))
        if not positives:
            raise SystemExit(f"query {query} has no positive")
        for n, sums in self.sums.items():
            hits, total = precisions(ranking, positives, min(n, len(ranking)))
            head = {self.lists.label_of[item] for item in ranking[:n]}
            figures = (total / min(len(positives), n), hits / n, hits / len(positives), 1.0 if hits else 0.0,
                       len(head & labels) / len(labels))
            for i, figure in enumerate(figures):
                sums[i] += figure
        self.r_precision += sum(item in positives for item in ranking[:len(positives)]) / len(positives)
        self.reciprocal += next((1 / rank for rank, item in enumerate(ranking, 1) if item in positives), 0.0)

    def result(self):
        missing = self.lists.queries.keys() - self.ranked
        if missing:
            raise SystemExit(f"{len(missing)} queries are not ranked")
        count = len(self.ranked)
        names = ("mAP", "Prec", "Recall", "hit_rate", "label_coverage")
        result = {f"top{n}": {name: value / count for name, value in zip(names, sums)} for n, sums in self.sums.items()}
        return {**result, "R-Precision": self.r_precision / count, "MRR": self.reciprocal / count}


def evaluate(lists, path, protocol, way):
    official = Official(lists) if protocol != "strict" and way == "lean" else None
    strict = Strict(lists) if protocol != "product1m_official" else None
    result = {}
    if official or strict:
        head = max(CUTOFFS)
        with open(path, encoding="utf-8") as file:
            for line in file:
                line = line.strip()
                if strict:
                    query, *ranking = line.split(",")
                    strict.add(query, ranking)
                    if official:
                        official.add(query, ranking[:head], len(ranking))
                else:
                    query, *ranking = line.split(",", head + 1)
                    official.add(query, ranking[:head], len(ranking))
        if official:
            result["product1m_official"] = official.result()
        if strict:
            result["strict"] = strict.result()
    if protocol != "strict" and way == "published":
        result["product1m_official"] = official_published(lists, path)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=["published", "lean"], default="published")
    parser.add_argument("--protocol", choices=["product1m_official", "strict", "both"], default="both")
    parser.add_argument("rankings")
    parser.add_argument("gallery_list")
    parser.add_argument("query_list", nargs="+")
    args = parser.parse_args()
    lists = Lists(args.gallery_list, args.query_list)
    print(json.dumps(evaluate(lists, args.rankings, args.protocol, args.way)))


if __name__ == "__main__":
    main()
