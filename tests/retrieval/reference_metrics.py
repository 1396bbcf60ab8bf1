"""Both evaluation protocols, written as plainly as their definitions read.

Slow on purpose: lists, dictionaries and loops, one step after the other, nothing shared with the C++ code. The program
tests hold capture_eval against it, bit for bit.
"""


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file]


def read_list(path):
    """{id: labels as listed}; a later line for the same id replaces an earlier one."""
    products = {}
    for line in read_lines(path):
        fields = line.split("#####")
        products[fields[0]] = fields[4].split("#;#")
    return products


def read_rankings(path):
    """[(query id, [gallery ids])], one a line."""
    rankings = []
    for line in read_lines(path):
        query, *items = line.split(",")
        rankings.append((query, items))
    return rankings


class Lists:
    def __init__(self, gallery, query_lists):
        self.gallery_labels = {item: labels[0] for item, labels in read_list(gallery).items()}
        self.queries = {}
        for path in query_lists:
            self.queries.update(read_list(path))
        self.items_of = {}
        for item, label in self.gallery_labels.items():
            self.items_of.setdefault(label, []).append(item)


class Line:
    """The official figures of one ranking line at one N, and why its computation stopped, if it did."""

    def __init__(self):
        self.ap = self.precision = self.ar = 0.0
        self.stopped = None


def official_line(lists, query, ranking, n):
    line = Line()
    if query not in lists.queries:
        line.stopped = "unknown query"
        return line
    labels = lists.queries[query]
    positives = []
    for label in labels:
        if label not in lists.items_of:
            line.stopped = "label absent"
            return line
        positives.extend(lists.items_of[label])
    k = min(n, len(positives), len(ranking))
    if k == 0:
        line.stopped = "empty ranking"
        return line

    hits = 0
    total = 0.0
    for position in range(k):
        if ranking[position] in positives:
            hits = hits + 1
            total = total + hits / (position + 1)
    line.ap = total / hits if hits else 0.0
    line.precision = hits / k
    line.ar, line.stopped = official_recall(lists, labels, ranking[:n], n)
    return line


def official_recall(lists, labels, head, n):
    expected = {}
    for label in labels:
        expected[label] = expected.get(label, 0) + int(n / len(labels))
    for label in expected:
        expected[label] = min(expected[label], len(lists.items_of[label]))
    retrieved = {}  # keeps the order of first appearance
    for item in head:
        if item not in lists.gallery_labels:
            return 0.0, "unknown item"
        label = lists.gallery_labels[item]
        if label in expected:
            retrieved[label] = retrieved.get(label, 0) + 1
    total = 0.0
    for label, count in retrieved.items():
        if expected[label] == 0:
            return 0.0, "nothing expected"
        total = total + min(count, expected[label]) / expected[label]
    return total / len(set(labels)), None


def official(lists, rankings, cutoffs):
    result = {}
    for n in cutoffs:
        ap = precision = ar = 0.0
        for query, ranking in rankings:
            line = official_line(lists, query, ranking, n)
            ap += line.ap
            precision += line.precision
            ar += line.ar
        count = len(rankings)
        result[f"top{n}"] = {"mAP": ap / count, "Prec": precision / count, "mAR": ar / count}
    return result


def strict_refusal(lists, rankings, skip_unanswerable):
    """The id that makes the strict definition impossible, or None."""
    ranked = set()
    for query, ranking in rankings:
        if query not in lists.queries or query in ranked or not ranking:
            return query
        ranked.add(query)
        for position, item in enumerate(ranking):
            if item not in lists.gallery_labels or item in ranking[:position]:
                return item
    for query, labels in lists.queries.items():
        answerable = any(label in lists.items_of for label in labels)
        if not answerable and not skip_unanswerable:
            return query
        if answerable and query not in ranked:
            return query
    return None


def strict_line(lists, query, ranking, cutoffs):
    labels = set(lists.queries[query])
    relevant = {item for item, label in lists.gallery_labels.items() if label in labels}
    figures = {}
    for n in cutoffs:
        hits = 0
        total = 0.0
        found = set()
        for rank, item in enumerate(ranking[:n], start=1):
            if item in relevant:
                hits += 1
                total += hits / rank
                found.add(lists.gallery_labels[item])
        figures[f"top{n}"] = {
            "mAP": total / min(len(relevant), n),
            "Prec": hits / n,
            "Recall": hits / len(relevant),
            "hit_rate": 1.0 if hits else 0.0,
            "label_coverage": len(found) / len(labels),
        }
    figures["R-Precision"] = sum(item in relevant for item in ranking[: len(relevant)]) / len(relevant)
    figures["MRR"] = next((1 / rank for rank, item in enumerate(ranking, start=1) if item in relevant), 0.0)
    return figures


def strict(lists, rankings, cutoffs):
    """Means over the queries that the gallery can answer, in the order of the rankings."""
    lines = [
        strict_line(lists, query, ranking, cutoffs)
        for query, ranking in rankings
        if any(label in lists.items_of for label in lists.queries[query])
    ]
    return mean_of(lines)


def mean_of(figures):
    if isinstance(figures[0], dict):
        return {key: mean_of([one[key] for one in figures]) for key in figures[0]}
    total = 0.0
    for figure in figures:
        total += figure
    return total / len(figures)
