"""capture_eval on ranking files: figures equal to a plain reference bit for bit, and clear refusals."""
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
sys.path.insert(0, str(pathlib.Path(os.environ["CAPTURE_SOURCE"]) / "tests" / "retrieval"))
import reference_metrics as reference  # noqa: E402

CUTOFFS = [1, 3, 10, 50, 100]


def run(*arguments, file_limit=None):
    """With `file_limit`, no file can grow beyond that many bytes, as on a full disk."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    command = [str(BIN / "capture_eval"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120,
                          preexec_fn=None if file_limit is None else limit)


def row(name, labels, caption="标题", tail=""):
    return f"{name}#####{caption}#####http://a#####http://b#####{'#;#'.join(labels)}{tail}"


class Case:
    """A gallery, two query lists and rankings, drawn at random; `odd` adds what real files get wrong."""

    def __init__(self, seed, odd):
        draw = random.Random(seed)
        labels = [f"产品 {i}" for i in range(draw.randint(1, 15))] + ["", " x"][: draw.randint(0, 2)]
        items = [f"g{i}" for i in range(draw.randint(1, 60))]
        known = labels[: max(1, len(labels) - draw.randint(0, 2))] if odd else labels
        self.gallery = [row(item, self.some(draw, known, 2)) for item in items]
        carried = sorted({line.split("#####")[4].split("#;#")[0].rstrip() for line in self.gallery})
        wanted = labels if odd else carried
        queries = [f"q{i}" for i in range(draw.randint(1, 40))]
        lists = [[], []]
        for query in queries:
            draw.choice(lists).append(row(query, self.some(draw, wanted, 12)))
        self.lists = [lines or [row(f"spare{i}", carried[:1])] for i, lines in enumerate(lists)]
        ranked = [line.split("#####")[0] for lines in self.lists for line in lines]
        draw.shuffle(ranked)
        self.rankings = [",".join([query, *draw.sample(items, draw.randint(1, len(items)))]) for query in ranked]
        if odd:
            self.spoil(draw, items)

    @staticmethod
    def some(draw, labels, most):
        return [draw.choice(labels) for _ in range(draw.randint(1, most))]

    def spoil(self, draw, items):
        for _ in range(draw.randint(0, 12)):
            at = draw.randrange(len(self.rankings))
            query, *ranking = self.rankings[at].split(",")
            where = draw.randint(0, len(ranking))
            spoiled = draw.choice([
                [query],
                [query, ""],
                [""],
                ["nobody", *ranking],
                [query, *ranking[:where], "nothing", *ranking[where:]],
                [query, *ranking[:where], draw.choice(items), *ranking[where:]],
                [query, *ranking, ""],
                [query, *ranking[:3]],
                [query + " ", *ranking],
                ["\u3000" + query, *ranking, "\u00a0"],
            ])
            if draw.random() < 0.5:
                self.rankings[at] = ",".join(spoiled)
            else:
                self.rankings.insert(at, ",".join(spoiled))
        if draw.random() < 0.3:
            self.gallery.append(row(draw.choice(items), ["产品 0"]))
        if draw.random() < 0.3:
            self.lists[1].append(self.lists[0][0].rsplit("#####", 1)[0] + "#####产品 0")
        if draw.random() < 0.2:
            self.lists[0].append(row("q0", ["产品 0"], tail="#####more"))

    def write(self, folder, end="\n"):
        self.files = []
        named = [("gallery", self.gallery), ("a", self.lists[0]), ("b", self.lists[1]), ("rankings", self.rankings)]
        for name, lines in named:
            path = pathlib.Path(folder) / f"{name}.txt"
            path.write_bytes((end.join(lines) + end).encode())
            self.files.append(path)
        return self

    def options(self):
        gallery, a, b, rankings = self.files
        return ["--gallery-list", gallery, "--query-list", a, "--query-list", b, "--rankings", rankings]

    def reference(self):
        gallery, a, b, rankings = self.files
        return reference.Lists(gallery, [a, b]), reference.read_rankings(rankings)


class EvalTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.output = self.folder / "eval"

    def figures(self, case, *options, cutoffs=CUTOFFS):
        at = ",".join(map(str, cutoffs))
        done = run(*case.options(), "--at", at, "--output", self.output, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.output / "metrics.json").read_text())

    def refused(self, *arguments, naming=()):
        done = run(*arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertEqual(done.stdout, "")
        for text in naming:
            self.assertIn(str(text), done.stderr)
        self.assertEqual([p.name for p in self.folder.rglob("*part*")], [])
        return done.stderr


class Official(EvalTest):
    def test_equals_the_reference_bit_for_bit_on_odd_files(self):
        for seed in range(120):
            case = Case(seed, odd=True).write(self.folder, ["\n", "\r\n", "\r"][seed % 3])
            lists, rankings = case.reference()
            cutoffs = CUTOFFS if seed % 4 else [1, 3]  # the latter leave most of a line aside
            got = self.figures(case, "--protocol", "product1m_official", cutoffs=cutoffs)
            with self.subTest(seed=seed):
                self.assertEqual(got["product1m_official"], reference.official(lists, rankings, cutoffs))
                self.assertNotIn("strict", got)
                self.assert_lines_equal(lists, rankings, cutoffs)

    def assert_lines_equal(self, lists, rankings, cutoffs):
        lines = [json.loads(line) for line in (self.output / "per_query.jsonl").read_text().splitlines()]
        self.assertEqual([line["query"] for line in lines], [query for query, _ in rankings])
        lost = set()
        for number, (line, (query, ranking)) in enumerate(zip(lines, rankings), start=1):
            for n in cutoffs:
                expected = reference.official_line(lists, query, ranking, n)
                self.assertEqual(line["product1m_official"][f"top{n}"],
                                 {"AP": expected.ap, "Prec": expected.precision, "AR": expected.ar})
                if expected.stopped:
                    lost.add(number)
        odd = [json.loads(line) for line in (self.output / "odd_lines.jsonl").read_text().splitlines()]
        named = {int(line["where"].rsplit(":", 1)[1]) for line in odd
                 if line["where"].startswith(str(self.folder / "rankings.txt")) and "as 0" in line["effect"]}
        self.assertEqual(named, lost)

    def test_what_is_written_besides_changes_no_figure(self):
        for seed in range(6):
            case = Case(seed, odd=True).write(self.folder)
            protocol = ["--protocol", "product1m_official"]
            alone = self.figures(case, *protocol, cutoffs=[1, 3])
            lines = (self.output / "per_query.jsonl").read_text()
            besides = self.figures(case, *protocol, "--trec", "--report", cutoffs=[1, 3])
            with self.subTest(seed=seed):
                self.assertEqual(besides["product1m_official"], alone["product1m_official"])
                self.assertEqual(besides["groups"], alone["groups"])
                self.assertEqual(besides["inputs"], alone["inputs"])
                self.assertEqual((self.output / "per_query.jsonl").read_text(), lines)

    def test_names_every_line_that_the_script_gives_up_on(self):
        case = Case(1, odd=False)
        case.gallery = [row("g1", ["cup"]), row("g2", ["pan"])]
        case.lists = [[row("q1", ["cup", "cup"]), row("q2", ["lid"])], [row("q3", ["pan"])]]
        case.rankings = ["q1,g1,g2", "q2,g1", "q9,g1", "q3,g2,g7", "q3"]
        case.write(self.folder)
        done = run(*case.options(), "--protocol", "product1m_official", "--output", self.output)
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ["rankings.txt:2", "'lid'", "rankings.txt:3", "'q9'", "rankings.txt:4", "'g7'", "rankings.txt:5",
                     "the ranking is empty"]:
            self.assertIn(text, done.stderr)
        self.assertNotIn("rankings.txt:1:", done.stderr)
        figures = json.loads((self.output / "metrics.json").read_text())["product1m_official"]["top10"]
        self.assertEqual(figures, {"mAP": 2 / 5, "Prec": (0.5 + 1) / 5, "mAR": 1 / 5})


class Strict(EvalTest):
    def test_equals_the_reference_bit_for_bit(self):
        for seed in range(60):
            case = Case(seed, odd=False).write(self.folder)
            lists, rankings = case.reference()
            got = self.figures(case, "--protocol", "both")
            with self.subTest(seed=seed):
                self.assertEqual(got["strict"], reference.strict(lists, rankings, CUTOFFS))
                self.assertEqual(got["product1m_official"], reference.official(lists, rankings, CUTOFFS))
                self.assertEqual(list(got)[:2], ["product1m_official", "strict"])

    def test_groups_are_means_over_their_own_queries(self):
        case = Case(3, odd=False).write(self.folder)
        lists, rankings = case.reference()
        groups = self.figures(case)["groups"]
        for name, belongs in [("single", lambda n: n == 1), ("multi", lambda n: n > 1)]:
            own = [(q, r) for q, r in rankings if belongs(len(set(lists.queries[q])))]
            self.assertEqual(groups[name]["queries"], len(own))
            self.assertEqual(groups[name]["strict"], reference.strict(lists, own, CUTOFFS))
            self.assertEqual(groups[name]["product1m_official"], reference.official(lists, own, CUTOFFS))

    def test_refuses_exactly_what_the_reference_refuses(self):
        outcomes = {True: 0, False: 0}
        for seed in range(80):
            case = Case(seed, odd=True)
            if seed % 2:
                case.rankings = Case(seed, odd=False).rankings
            case.gallery = list({line.split("#####")[0]: line for line in case.gallery}.values())
            case.lists[0] = [line for line in case.lists[0] if not line.endswith("more")]
            first = {line.split("#####")[0] for line in case.lists[0]}
            case.lists[1] = [line for line in case.lists[1] if line.split("#####")[0] not in first]
            if not all(case.lists):
                continue
            case.write(self.folder)
            lists, rankings = case.reference()
            output = self.folder / f"eval{seed}"
            for skip in [[], ["--skip-unanswerable"]]:
                done = run(*case.options(), "--protocol", "strict", "--output", output, *skip)
                refusal = reference.strict_refusal(lists, rankings, bool(skip))
                with self.subTest(seed=seed, skip=skip, refusal=refusal):
                    self.assertEqual(done.returncode, 0 if refusal is None else 1, done.stderr)
                    self.assertEqual(output.exists(), refusal is None)
                outcomes[refusal is None] += 1
        self.assertGreater(min(outcomes.values()), 10, outcomes)

    def test_leaves_unanswerable_queries_out_on_request(self):
        case = Case(1, odd=False)
        case.gallery = [row("g1", ["cup"]), row("g2", ["pan"])]
        case.lists = [[row("q1", ["cup"]), row("q2", ["lid"])], [row("q3", ["pan", "lid"])]]
        case.rankings = ["q1,g2,g1", "q2,g1", "q3,g2,g1"]
        case.write(self.folder)
        self.refused(*case.options(), "--protocol", "strict", naming=["a.txt:2", "'q2'", "--skip-unanswerable"])
        got = self.figures(case, "--protocol", "strict", "--skip-unanswerable")
        self.assertEqual(got["sizes"]["skipped_unanswerable"], 1)
        self.assertEqual(got["strict"]["MRR"], 0.75)
        self.assertEqual(got["strict"]["top1"]["label_coverage"], 0.25)


class BadInput(EvalTest):
    """Each gives one sentence that names file and line, exit code 1, and nothing written."""

    def setUp(self):
        super().setUp()
        case = Case(1, odd=False)
        case.gallery = [row("g1", ["cup"]), row("g2", ["pan"])]
        case.lists = [[row("q1", ["cup"])], [row("q2", ["pan"])]]
        case.rankings = ["q1,g1,g2", "q2,g2,g1"]
        self.case = case

    def refused_case(self, naming, *options):
        self.case.write(self.folder)
        self.refused(*self.case.options(), "--output", self.output, *options, naming=naming)
        self.assertFalse(self.output.exists())

    def spoil_file(self, name, content, naming):
        self.case.write(self.folder)
        path = self.folder / name
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        self.refused(*self.case.options(), "--output", self.output, naming=naming)
        self.assertFalse(self.output.exists())

    def test_missing_files(self):
        for name in ["gallery.txt", "a.txt", "rankings.txt"]:
            self.spoil_file(name, None, [name, "No such file"])

    def test_empty_files(self):
        for name in ["gallery.txt", "b.txt", "rankings.txt"]:
            self.spoil_file(name, b"", [name, "empty"])

    def test_files_that_are_not_utf8(self):
        for name in ["gallery.txt", "a.txt", "rankings.txt"]:
            self.spoil_file(name, row("ok", ["cup"]).encode() + "\n标题".encode("gb18030"), [f"{name}:2", "UTF-8"])

    def test_a_folder_instead_of_a_file(self):
        self.case.write(self.folder)
        options = self.case.options()
        options[-1] = self.folder
        self.refused(*options, naming=["is a folder"])

    def test_a_list_line_with_too_few_fields(self):
        self.case.gallery.insert(1, "g9#####only a caption")
        self.refused_case(["gallery.txt:2", "2 fields"])

    def test_an_empty_list_line(self):
        self.case.lists[0].append("")
        self.refused_case(["a.txt:2", "empty"])

    def test_a_list_line_with_too_many_fields(self):
        self.case.lists[0].append(row("q7", ["cup"], tail="#####more"))
        self.refused_case(["a.txt:2", "6 fields"])

    def test_a_gallery_id_listed_twice(self):
        self.case.gallery.append(row("g1", ["pan"]))
        self.refused_case(["gallery.txt:3", "'g1'"])

    def test_a_query_listed_twice(self):
        self.case.lists[1].append(row("q1", ["pan"]))
        self.refused_case(["b.txt:2", "'q1'"])

    def test_a_query_listed_twice_with_the_same_labels_is_no_contradiction(self):
        self.case.lists[1].append(row("q1", ["cup"]))
        self.case.write(self.folder)
        done = run(*self.case.options(), "--output", self.output)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("listed twice", (self.output / "odd_lines.jsonl").read_text())

    def test_a_disk_that_takes_no_more(self):
        self.case.write(self.folder)
        done = run(*self.case.options(), "--output", self.output, file_limit=100)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("File too large", done.stderr)
        self.assertFalse(self.output.exists())
        self.assertEqual([path.name for path in self.folder.rglob("*part*")], [])

    def test_an_unknown_query(self):
        self.case.rankings.append("q9,g1")
        self.refused_case(["rankings.txt:3", "'q9'", "product1m_official"])

    def test_an_empty_ranking_line(self):
        self.case.rankings.append("")
        self.refused_case(["rankings.txt:3", "no query"])

    def test_a_query_ranked_twice(self):
        self.case.rankings.append("q1,g2")
        self.refused_case(["rankings.txt:3", "'q1'", "line 1"])

    def test_a_query_that_ranks_nothing(self):
        self.case.rankings[0] = "q1"
        self.refused_case(["rankings.txt:1", "'q1'"])

    def test_a_query_that_is_not_ranked(self):
        del self.case.rankings[1]
        self.refused_case(["rankings.txt", "'q2'", "b.txt:1"])

    def test_an_unknown_gallery_id(self):
        self.case.rankings[1] += ",g9"
        self.refused_case(["rankings.txt:2", "'g9'"])

    def test_a_gallery_id_ranked_twice(self):
        self.case.rankings[1] += ",g2"
        self.refused_case(["rankings.txt:2", "'g2'"])

    def test_a_label_absent_from_the_gallery(self):
        self.case.lists[0] = [row("q1", ["lid"])]
        self.refused_case(["a.txt:1", "'q1'", "--skip-unanswerable"])

    def test_nothing_that_can_be_answered(self):
        self.case.lists = [[row("q1", ["lid"])], [row("q2", ["lid"])]]
        self.refused_case(["no query"], "--skip-unanswerable")

    def test_several_offences_are_counted(self):
        self.case.rankings += ["q8,g1", "q9,g1"]
        self.refused_case(["'q8'", "1 more"])

    def test_an_output_folder_that_cannot_be(self):
        self.case.write(self.folder)
        self.output.write_text("a file in the way")
        for output in [self.output, self.output / "deeper"]:
            self.refused(*self.case.options(), "--output", output, naming=["eval", "is a file"])
        self.refused(*self.case.options(), "--output", "/proc/eval", naming=["/proc"])
        self.assertEqual(self.output.read_text(), "a file in the way")

    def test_usage(self):
        self.case.write(self.folder)
        for arguments in [[], ["--rankings", self.folder / "rankings.txt"], [*self.case.options(), "--at", "0"],
                          [*self.case.options(), "--protocol", "loose"], [*self.case.options(), "--frobnicate"]]:
            done = run(*arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertNotEqual(done.stderr, "")

    def test_results_replace_older_ones(self):
        self.case.write(self.folder)
        for at in ["1", "2"]:
            done = run(*self.case.options(), "--output", self.output, "--at", at)
            self.assertEqual(done.returncode, 0, done.stderr)
        got = json.loads((self.output / "metrics.json").read_text())
        self.assertEqual(list(got["strict"]), ["top2", "R-Precision", "MRR"])
        self.assertEqual(sorted(p.name for p in self.output.iterdir()),
                         ["metrics.json", "odd_lines.jsonl", "per_query.jsonl"])


if __name__ == "__main__":
    unittest.main()
