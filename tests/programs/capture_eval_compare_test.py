"""capture_eval compare, and the report of a ranking file: as a user runs them."""
import itertools
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
JPEG = b"\xff\xd8\xff\xe0 a photo"


def run(*arguments):
    command = [str(BIN / "capture_eval"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def row(name, labels, caption="标题 & <title>"):
    return f"{name}#####{caption}#####http://a#####http://b#####{'#;#'.join(labels)}"


def exact_p(differences):
    """All sign patterns, counted out."""
    observed = abs(sum(differences)) - 1e-9
    patterns = list(itertools.product([1, -1], repeat=len(differences)))
    extreme = sum(abs(sum(sign * d for sign, d in zip(signs, differences))) >= observed for signs in patterns)
    return extreme / len(patterns)


class Lists:
    """A gallery of cups, pans and lids, and queries for them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.gallery = [row(f"{kind}{i}", [kind]) for kind in ["cup", "pan", "lid"] for i in range(4)]
        self.queries = [row(f"q{i}", [["cup"], ["pan"], ["lid", "cup"]][i % 3]) for i in range(24)]

    def ranking(self, query, first):
        """The items of the kind `first`, then the others."""
        ids = [line.split("#####")[0] for line in self.gallery]
        return ",".join([query, *sorted(ids, key=lambda name: not name.startswith(first))])

    def evaluate(self, name, rankings, *options):
        self.folder.mkdir(exist_ok=True)
        (self.folder / "gallery.txt").write_text("\n".join(self.gallery))
        (self.folder / "queries.txt").write_text("\n".join(self.queries))
        (self.folder / f"{name}.txt").write_text("\n".join(rankings))
        done = run("--rankings", self.folder / f"{name}.txt", "--gallery-list", self.folder / "gallery.txt",
                   "--query-list", self.folder / "queries.txt", "--output", self.folder / name, *options)
        assert done.returncode == 0, done.stderr
        return self.folder / name

    def good(self):
        return [self.ranking(line.split("#####")[0], line.split("#####")[4].split("#;#")[0]) for line in self.queries]

    def bad(self, wrong):
        return [self.ranking(f"q{i}", "lid") if i in wrong else line for i, line in enumerate(self.good())]


class CompareTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.lists = Lists(self.folder / "lists")
        self.good = self.lists.evaluate("good", self.lists.good())
        self.bad = self.lists.evaluate("bad", self.lists.bad({0, 1, 3, 6, 7}))

    def compare(self, *arguments):
        done = run("compare", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, *arguments, naming=()):
        done = run("compare", *arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertEqual(done.stdout, "")
        for text in naming:
            self.assertIn(str(text), done.stderr)


class Figures(CompareTest):
    def test_every_figure_is_the_difference_of_the_runs_figures(self):
        got = json.loads(self.compare(self.good, self.bad, "--json").stdout)
        metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (self.good, self.bad)]
        figures = got["pairs"][0]["figures"]
        for protocol, title in [("strict", "strict"), ("product1m_official", "official")]:
            for n in [10, 50, 100]:
                first, second = (m[protocol][f"top{n}"]["mAP"] for m in metrics)
                figure = figures[title][f"mAP@{n}"]
                self.assertAlmostEqual(figure["first"], first, places=12)
                self.assertAlmostEqual(figure["difference"], second - first, places=12)
        self.assertAlmostEqual(figures["strict"]["MRR"]["second"], metrics[1]["strict"]["MRR"], places=12)
        self.assertEqual(got["runs"][0]["name"], "good")

    def test_tests_and_intervals_follow_from_the_queries_values(self):
        got = json.loads(self.compare(self.good, self.bad, "--json").stdout)
        differences = [query["values"][1] - query["values"][0] for query in got["queries"]]
        figure = got["pairs"][0]["figures"]["strict"]["mAP@10"]
        self.assertEqual((figure["won"], figure["lost"], figure["tied"]), (0, 5, 19))
        self.assertTrue(figure["exact"])
        self.assertEqual(figure["p"], exact_p([d for d in differences if d != 0]))
        self.assertTrue(figure["low"] < figure["difference"] < figure["high"] <= 0, figure)

    def test_parts_cover_the_queries(self):
        pair = json.loads(self.compare(self.good, self.bad, "--json").stdout)["pairs"][0]
        self.assertEqual({name: part["queries"] for name, part in pair["products"].items()},
                         {"1 product": 16, "2 products": 8})
        self.assertEqual({name: part["queries"] for name, part in pair["labels"].items()},
                         {"cup": 16, "pan": 8, "lid": 8})
        self.assertEqual(pair["labels"]["pan"]["lost"], 2)

    def test_text_says_what_the_json_says(self):
        text = self.compare(self.good, self.bad).stdout
        figure = json.loads(self.compare(self.good, self.bad, "--json").stdout)["pairs"][0]["figures"]["strict"]["mAP@10"]
        self.assertIn("A = good, B = bad", text)
        self.assertRegex(text, rf"mAP@10 +{100 * figure['first']:.1f} +{100 * figure['second']:.1f} ")
        self.assertIn("0 won, 5 lost, 19 tied", text)
        for query in ["q0", "q1", "q3", "q6", "q7"]:
            self.assertRegex(text, rf"\n{query} ")

    def test_same_seed_same_output(self):
        once = self.compare(self.good, self.bad, "--json", "--threads", "1").stdout
        self.assertEqual(once, self.compare(self.good, self.bad, "--json", "--threads", "3").stdout)
        self.assertNotEqual(once, self.compare(self.good, self.bad, "--json", "--seed", "2").stdout)

    def test_several_runs_are_held_against_the_first_and_adjusted(self):
        other = self.lists.evaluate("other", self.lists.bad({0}))
        got = json.loads(self.compare("--names", "a,b,c", self.good, self.bad, other, "--json").stdout)
        self.assertEqual([(pair["first"], pair["second"]) for pair in got["pairs"]], [("a", "b"), ("a", "c")])
        p = [pair["figures"]["strict"]["mAP@10"]["p"] for pair in got["pairs"]]
        adjusted = [pair["figures"]["strict"]["mAP@10"]["p_adjusted"] for pair in got["pairs"]]
        self.assertEqual(adjusted, [min(1, 2 * p[0]), max(min(1, 2 * p[0]), p[1])])

    def test_another_metric(self):
        got = json.loads(self.compare(self.good, self.bad, "--json", "--metric", "official mAR@10").stdout)
        self.assertEqual(got["metric"], "official mAR@10")
        self.refused(self.good, self.bad, "--metric", "strict mAP@11", naming=["strict mAP@11", "did you mean"])


class Page(CompareTest):
    def test_page_and_json_are_written(self):
        output = self.folder / "out"
        done = self.compare(self.good, self.bad, "--output", output, "--title", "Kitchen")
        page = (output / "comparison.html").read_text()
        self.assertIn("bad against good", page)
        self.assertIn("标题 &amp; &lt;title&gt;", page)
        self.assertNotIn("<title>标题", page)
        self.assertEqual(page.count("<h5>"), 10)  # five queries lost, two runs
        self.assertIn("comparison.html", done.stderr)
        json.loads((output / "comparison.json").read_text())

    def test_photos_come_from_the_runs_results(self):
        photos = self.bad / "report_files"
        photos.mkdir()
        for i in range(len(self.lists.gallery)):
            (photos / f"g{i}.jpg").write_bytes(JPEG + bytes([i]))
        (photos / "q0.jpg").write_bytes(JPEG)
        output = self.folder / "out"
        self.compare(self.good, self.bad, "--output", output)
        self.assertIn("data:image/jpeg;base64,", (output / "comparison.html").read_text())
        beside = output / "comparison_files"
        self.assertEqual(len(list(beside.iterdir())), len(self.lists.gallery) + 1)
        self.compare(self.good, self.bad, "--output", output)  # again, over what is there

    def test_a_ranking_file_that_changed_is_not_shown(self):
        changed = self.lists.folder / "bad.txt"
        changed.write_text(changed.read_text() + "\n")
        done = self.compare(self.good, self.bad, "--output", self.folder / "out")
        self.assertIn("has changed", done.stderr)
        self.assertIn("do not carry this run&#39;s ranking", (self.folder / "out/comparison.html").read_text())


class Refusals(CompareTest):
    def test_what_holds_no_results(self):
        self.refused(self.good, self.folder / "nowhere", naming=["nowhere", "holds no results"])
        (self.bad / "per_query.jsonl").write_text('{"line":1}\n')
        self.refused(self.good, self.bad, naming=["per_query.jsonl:1", "names no query"])
        (self.bad / "per_query.jsonl").write_text('{"query":"q0"')
        self.refused(self.good, self.bad, naming=["per_query.jsonl:1"])
        (self.bad / "metrics.json").write_text("[]")
        self.refused(self.good, self.bad, naming=["metrics.json"])

    def test_other_queries(self):
        lists = Lists(self.folder / "other")
        lists.queries[5] = lists.queries[5].replace("q5#", "q99#", 1)
        other = lists.evaluate("run", lists.good())
        self.refused(self.good, other, naming=["'q5'", "not in", other])

    def test_other_labels(self):
        lists = Lists(self.folder / "other")
        lists.queries[0] = row("q0", ["pan"])
        self.refused(self.good, lists.evaluate("run", lists.good()), naming=["'q0'", "other labels"])

    def test_other_galleries(self):
        lists = Lists(self.folder / "other")
        lists.gallery[0] = row("cup9", ["cup"])
        self.refused(self.good, lists.evaluate("run", lists.good()), naming=["galleries differ", "'cup"])
        lists.gallery.append(row("cup10", ["cup"]))
        self.refused(self.good, lists.evaluate("run", lists.good()), naming=["galleries differ", "12", "13"])

    def test_a_query_ranked_twice(self):
        lists = Lists(self.folder / "other")
        twice = lists.evaluate("run", [*lists.good(), lists.good()[0]], "--protocol", "product1m_official")
        self.refused(twice, twice, naming=["'q0'", "twice"])

    def test_usage(self):
        for arguments in [["compare"], ["compare", self.good], ["compare", self.good, self.bad, "--names", "a"],
                          ["compare", self.good, self.bad, "--flips", "1"]]:
            self.assertEqual(run(*arguments).returncode, 2, arguments)


class Report(CompareTest):
    def test_a_ranking_file_gets_a_report_without_photos(self):
        folder = self.lists.evaluate("again", self.lists.bad({0, 1}), "--report", "--title", "Kitchen")
        page = (folder / "report.html").read_text()
        for text in ["Kitchen", "By number of products", "Precision by recall", "Labels, the hardest first", "Taken for another"]:
            self.assertIn(text, page)
        self.assertNotIn("<img", page)
        self.assertEqual(len(re.findall(r'<article class="query"', page)), 16)
        self.assertFalse((folder / "report_files").exists())
        self.assertFalse((self.good / "report.html").exists())  # only on request

    def test_a_report_needs_a_folder(self):
        done = run("--rankings", "a", "--gallery-list", "b", "--query-list", "c", "--report")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--output", done.stderr)


if __name__ == "__main__":
    unittest.main()
