"""capture_eval on a model: photos, a tiny training run, and what comes out of it."""
import ast
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

from small_model import small_config

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
PHOTOS = pathlib.Path(os.environ["CAPTURE_SOURCE"]) / "data" / "grocery"
CONFIG = small_config(log_interval=1)


def run(program, *arguments):
    command = [str(BIN / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def read_list(name, count):
    """`count` rows, spread over the whole list."""
    rows = [json.loads(line) for line in (PHOTOS / f"{name}.jsonl").read_text().splitlines()]
    return rows[:: max(1, len(rows) // count)][:count]


def write_list(path, rows):
    for row in rows:
        row["image"] = str(PHOTOS / row["image"]) if not row["image"].startswith("/") else row["image"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


class ModelEvaluation(unittest.TestCase):
    """One run for all tests: they only read it."""

    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.holder.cleanup)
        cls.home = pathlib.Path(cls.holder.name)
        queries = read_list("queries", 400)
        single = [query for query in queries if len(query["labels"]) == 1][::25][:6]
        multi = [query for query in queries if len(query["labels"]) > 1][::25][:6]
        wanted = {label for query in single + multi for label in query["labels"]}
        gallery = {row["labels"][0]: row for row in read_list("gallery", 1000) if row["labels"][0] in wanted}
        gallery = list({row["id"]: row for row in [*gallery.values(), *read_list("gallery", 40)]}.values())[:30]
        queries = single + multi
        cls.lists = {"train": read_list("train", 30), "gallery": gallery, "queries": queries,
                     "unanswerable": queries[:3] + [dict(queries[3], id="lost", labels=["nothing like it"])]}
        for name, rows in cls.lists.items():
            write_list(cls.home / f"{name}.jsonl", rows)
            scaling = ["--fit-scaling"] if name == "train" else ["--scaling", cls.home / "train/scaling.safetensors"]
            cls.must("capture_data", "import-images", "--list", cls.home / f"{name}.jsonl", "--output",
                     cls.home / name, "--feature-width", 16, *scaling)
        cls.must("capture_tokenizer", "train", "--titles", cls.home / "train.jsonl", "--vocabulary-size", 60,
                 "--output", cls.home / "titles.model")
        config = dict(CONFIG, tokenizer={"type": "sentencepiece", "file": str(cls.home / "titles.model")},
                      data={"train": [str(cls.home / "train")], "validation": [str(cls.home / "queries")]})
        (cls.home / "tiny.json").write_text(json.dumps(config))
        cls.must("capture_train", "--config", cls.home / "tiny.json", "--output", cls.home / "run")

    @classmethod
    def must(cls, *command):
        done = run(*command)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr}")

    def setUp(self):
        self.output = self.home / "eval" / self.id().rsplit(".", 1)[1]
        self.addCleanup(shutil.rmtree, self.home / "eval", ignore_errors=True)

    def options(self, queries="queries"):
        return ["--gallery", self.home / "gallery", "--queries", self.home / queries, "--at", "5,10", "--threads", 1]

    def evaluate(self, *options, source=None):
        source = source or ["--run", self.home / "run"]
        done = run("capture_eval", *source, *self.options(), "--output", self.output, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, json.loads((self.output / "metrics.json").read_text())

    def refused(self, *arguments, naming=()):
        done = run("capture_eval", *arguments, "--output", self.output)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertEqual(done.stdout, "")
        for text in naming:
            self.assertIn(text, done.stderr)
        self.assertFalse(self.output.exists())
        self.assertEqual([path.name for path in self.home.rglob("*.part-*")], [])

    def test_writes_every_result(self):
        stdout, metrics = self.evaluate("--title", "a few groceries")
        self.assertEqual(sorted(path.name for path in self.output.iterdir()),
                         ["embeddings.safetensors", "gallery.npy", "gallery_ids.txt", "gallery_list.txt",
                          "metrics.json", "odd_lines.jsonl", "per_query.jsonl", "qrels.trec", "queries.npy",
                          "queries_ids.txt", "query_list.txt", "report.html", "retrieval_id_list.txt", "run.trec",
                          "systems.jsonl"])
        self.assertEqual(list(metrics)[:2], ["product1m_official", "strict"])
        self.assertEqual(set(metrics["product1m_official"]["top5"]), {"mAP", "Prec", "mAR"})
        self.assertEqual(set(metrics["strict"]["top10"]), {"mAP", "Prec", "Recall", "hit_rate", "label_coverage"})
        self.assertEqual(set(metrics["strict"]), {"top5", "top10", "R-Precision", "MRR"})
        self.assertEqual(metrics["sizes"]["gallery"], 30)
        self.assertEqual([metrics["groups"][name]["queries"] for name in ("single", "multi")], [6, 6])
        self.assertIn("pretrained model", stdout)
        self.assertIn("Photos of several products", stdout)
        report = (self.output / "report.html").read_text()
        self.assertIn("a few groceries", report)
        self.assertIn(self.lists["queries"][0]["id"], report)

    def test_figures_can_be_recomputed_from_the_files_beside_them(self):
        _, metrics = self.evaluate()
        again = self.home / "again"
        done = run("capture_eval", "--rankings", self.output / "retrieval_id_list.txt", "--gallery-list",
                   self.output / "gallery_list.txt", "--query-list", self.output / "query_list.txt", "--at", "5,10",
                   "--output", again)
        self.assertEqual(done.returncode, 0, done.stderr)
        recomputed = json.loads((again / "metrics.json").read_text())
        for part in ("product1m_official", "strict", "groups", "sizes"):
            self.assertEqual(recomputed[part], metrics[part])
        rankings = (self.output / "retrieval_id_list.txt").read_text().splitlines()
        self.assertEqual([line.split(",")[0] for line in rankings], [q["id"] for q in self.lists["queries"]])
        self.assertEqual({len(line.split(",")) for line in rankings}, {31})

    def test_vectors_give_the_rankings_that_stand_beside_them(self):
        self.evaluate("--no-report", "--cache", self.output / "cache")
        sets = {}
        for name in ("gallery", "queries"):
            data = (self.output / f"{name}.npy").read_bytes()
            self.assertEqual(data[:8], b"\x93NUMPY\x01\x00")
            start = 10 + struct.unpack("<H", data[8:10])[0]
            self.assertEqual(start % 64, 0)
            header = ast.literal_eval(data[10:start].decode())
            self.assertEqual((header["descr"], header["fortran_order"]), ("<f4", False))
            rows, width = header["shape"]
            numbers = struct.unpack(f"<{rows * width}f", data[start:])
            ids = (self.output / f"{name}_ids.txt").read_text().splitlines()
            self.assertEqual(len(ids), rows)
            sets[name] = {ids[i]: numbers[i * width:(i + 1) * width] for i in range(rows)}
        run_file = {}
        for line in (self.output / "run.trec").read_text().splitlines():
            query, _, item, rank, score, tag = line.split(" ")
            run_file.setdefault(query, []).append((int(rank), item, float(score)))
            self.assertEqual(tag, "capture")
        for line in (self.output / "retrieval_id_list.txt").read_text().splitlines():
            query, *items = line.split(",")
            scores = [sum(a * b for a, b in zip(sets["queries"][query], sets["gallery"][item])) for item in items]
            for better, worse in zip(scores, scores[1:]):
                self.assertGreater(better, worse - 1e-6)
            self.assertEqual([(rank, item) for rank, item, _ in run_file[query]], list(enumerate(items, 1)))
            written = [score for *_, score in run_file[query]]
            self.assertEqual(written, sorted(written, reverse=True))
            self.assertEqual(len(set(written)), len(written), "no tie is left to other tools")
            self.assertLess(max(abs(a - b) for a, b in zip(scores, written)), 1e-5)
        labels = {row["id"]: row["labels"] for row in self.lists["gallery"]}
        relevant = {(q["id"], item) for q in self.lists["queries"] for item in labels if labels[item][0] in q["labels"]}
        lines = [line.split(" ") for line in (self.output / "qrels.trec").read_text().splitlines()]
        self.assertEqual({(query, item) for query, _, item, _ in lines}, relevant)
        self.assertEqual(len(lines), len(relevant))

    def test_every_figure_of_a_table_can_be_recomputed_from_a_file_beside_it(self):
        unseen = self.home / "unseen.txt"
        labels = [query["labels"][0] for query in self.lists["queries"]]
        unseen.write_text("\n".join(sorted(set(labels[:3] + labels[6:8]))) + "\n\n")
        stdout, metrics = self.evaluate("--baselines", "--mode", "text", "--mode", "instances", "--cross-modal",
                                        "--unseen-labels", unseen)
        mean = lambda values: sum(values) / len(values)
        shown = lambda value: self.assertIn(f"{100 * value:.1f}", stdout)

        def check(expected, lines):
            for protocol in ("product1m_official", "strict"):
                for name, figures in expected[protocol].items():
                    if not isinstance(figures, dict):
                        key = "RR" if name == "MRR" else name
                        self.assertAlmostEqual(figures, mean([line[protocol][key] for line in lines]), 12)
                        continue
                    for metric, value in figures.items():
                        key = {"mAP": "AP", "mAR": "AR"}.get(metric, metric)
                        self.assertAlmostEqual(value, mean([line[protocol][name][key] for line in lines]), 12)
            shown(expected["strict"]["top5"]["mAP"])

        read = lambda name: [json.loads(line) for line in (self.output / name).read_text().splitlines()]
        systems = read("systems.jsonl")
        self.assertEqual(list(dict.fromkeys(line["system"] for line in systems)), list(metrics["systems"]))
        self.assertEqual(list(metrics["systems"])[3:], ["pretrained model, text", "pretrained model, instances"])
        for name, groups in metrics["systems"].items():
            own = [line for line in systems if line["system"] == name]
            for group, expected in groups.items():
                check(expected, [line for line in own if group in ("all", line["group"])])
        queries = read("per_query.jsonl")
        check(metrics, queries)
        parts = {part: [line for line in queries if line["label_part"] == part] for part in metrics["label_parts"]}
        self.assertEqual({part: len(lines) for part, lines in parts.items()},
                         {part: figures["queries"] for part, figures in metrics["label_parts"].items()})
        self.assertGreater(min(len(parts["seen"]), len(parts["unseen"])), 0)
        for part, lines in parts.items():
            if lines:
                check(metrics["label_parts"][part], lines)
        places = read("cross_modal.jsonl")
        for name, figures in metrics["cross_modal"].items():
            own = [line for line in places if line["set"] == name]
            self.assertEqual(len(own), figures["pairs"])
            for way in ("title_to_photo", "photo_to_title"):
                for k in (1, 5, 10):
                    share = mean([line[way] is not None and line[way] <= k for line in own])
                    self.assertAlmostEqual(figures[way][f"R@{k}"], share, 12)
                    shown(share)
        self.assertEqual(metrics["mode"], "text")
        self.assertEqual(metrics["protocol"], {"name": "both", "at": [5, 10], "skip_unanswerable": False})
        self.assertEqual(metrics["configuration"]["model"]["width"], 16)
        self.assertEqual(set(metrics["inputs"]),
                         {"gallery", "queries", "tokenizer", "weights", "configuration", "unseen_labels"})
        self.assertIn("Titles and photos that look for their other half", (self.output / "report.html").read_text())

    def test_modes_show_a_part_of_the_query(self):
        _, whole = self.evaluate("--no-report", "--mode", "whole", "--mode", "image", "--recipe", "pre.image")
        self.assertEqual(whole["systems"]["pretrained model, whole"], whole["systems"]["pretrained model, image"])
        _, text = self.evaluate("--no-report", "--mode", "text", "--recipe", "post.sum")
        _, both = self.evaluate("--no-report", "--recipe", "post.sum")
        self.assertNotEqual(text["strict"], both["strict"])
        for merge in ("score", "rank"):
            _, instances = self.evaluate("--no-report", "--mode", "instances", "--merge", merge)
            self.assertEqual(instances["merge"], merge)
            ids = (self.output / "queries_ids.txt").read_text().splitlines()
            self.assertGreater(len(ids), len(self.lists["queries"]))
            self.assertEqual(ids[0], self.lists["queries"][0]["id"] + "#0")
            lines = (self.output / "retrieval_id_list.txt").read_text().splitlines()
            self.assertEqual({len(line.split(",")) for line in lines}, {31})

    def test_recipes_that_look_at_what_a_mode_leaves_out_are_refused(self):
        self.refused("--run", self.home / "run", *self.options(), "--mode", "text", "--recipe", "pre.image-to-text",
                     naming=["pre.image-to-text", "no photo"])

    def test_embeddings_are_kept_and_a_damaged_one_is_made_anew(self):
        cache = self.home / "cache"
        _, first = self.evaluate("--no-report", "--cache", cache)
        entries = sorted(cache.iterdir())
        self.assertEqual(len(entries), 2)
        rankings = (self.output / "retrieval_id_list.txt").read_text()
        entries[0].write_bytes(entries[0].read_bytes()[:-5])
        source = ["--run", self.home / "run"]
        done = run("capture_eval", *source, *self.options(), "--no-report", "--cache", cache, "--output", self.output)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("a kept result is damaged", done.stderr)
        self.assertEqual((self.output / "retrieval_id_list.txt").read_text(), rankings)
        self.assertEqual(sorted(cache.iterdir()), entries)
        done = run("capture_eval", *source, *self.options(), "--no-report", "--cache", cache, "--output", self.output)
        self.assertNotIn("a kept result is damaged", done.stderr)

    def test_labels_that_nobody_has_are_refused(self):
        (self.home / "slip.txt").write_text(self.lists["queries"][0]["labels"][0] + "\na slip\n")
        self.refused("--run", self.home / "run", *self.options(), "--unseen-labels", self.home / "slip.txt",
                     naming=["'a slip'", "slip.txt:2"])

    def test_the_same_command_gives_the_same_figures_whatever_the_batch(self):
        _, first = self.evaluate("--batch", 1, "--no-report", "--no-cache")
        _, second = self.evaluate("--batch", 7, "--workers", 2, "--no-report", "--no-cache")
        self.assertEqual(first["strict"], second["strict"])

    def test_baselines_stand_beside_the_model(self):
        stdout, metrics = self.evaluate("--baselines")
        self.assertEqual(list(metrics["systems"]),
                         ["chance", "raw region features", "untrained model", "pretrained model"])
        self.assertEqual(metrics["systems"]["pretrained model"]["all"]["strict"], metrics["strict"])
        self.assertEqual(metrics["systems"]["pretrained model"]["multi"]["strict"],
                         metrics["groups"]["multi"]["strict"])
        chance = metrics["systems"]["chance"]["single"]["strict"]["top10"]["hit_rate"]
        self.assertTrue(0.05 < chance < 0.9, chance)
        for name in metrics["systems"]:
            self.assertIn(name, stdout)
        _, metrics = self.evaluate("--baselines", "--recipe", "pre.image-to-text", "--no-report")
        self.assertIn("untrained model, pre.sum", metrics["systems"])

    def test_recipes_can_be_compared(self):
        _, alone = self.evaluate("--recipe", "post.image", "--no-report")
        _, metrics = self.evaluate("--recipe", "post.image", "--recipe", "all", "--protocol", "strict", "--no-report")
        self.assertEqual(metrics["recipe"], "post.image")
        self.assertEqual(metrics["strict"], alone["strict"])
        self.assertNotIn("product1m_official", metrics)
        self.assertEqual(len(metrics["systems"]), 20)

    def test_a_model_file_and_a_tokenizer_do_as_well(self):
        _, by_run = self.evaluate("--no-report")
        step = max((self.home / "run/checkpoints").glob("step_*"), key=lambda path: int(path.name.split("_")[1]))
        _, by_file = self.evaluate("--no-report", source=["--model", step / "model.safetensors", "--tokenizer",
                                                          self.home / "titles.model"])
        self.assertEqual(by_file["strict"], by_run["strict"])
        _, by_step = self.evaluate("--no-report", source=["--run", self.home / "run", "--checkpoint",
                                                          step.name.split("_")[1]])
        self.assertEqual(by_step["strict"], by_run["strict"])

    def test_results_go_into_the_run_by_default(self):
        copy = self.home / "copy"
        shutil.copytree(self.home / "run", copy, symlinks=True)
        done = run("capture_eval", "--run", copy, *self.options())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((copy / "eval" / "report.html").exists())

    def test_the_best_of_a_run_that_was_copied_without_its_links_is_read(self):
        copy = self.home / "unlinked"
        shutil.copytree(self.home / "run", copy)
        self.assertFalse((copy / "checkpoints/best").is_symlink())
        before = sorted(copy.rglob("*"))
        best, copied = (self.evaluate("--no-report", "--no-cache", source=["--run", run, "--checkpoint", "best"])[1]
                        for run in [self.home / "run", copy])
        self.assertEqual(copied["strict"], best["strict"])
        self.assertEqual(before, sorted(copy.rglob("*")))

    def test_a_moved_run_brings_its_tokenizer(self):
        _, at_home = self.evaluate("--no-report")
        moved = self.home / "moved"
        shutil.copytree(self.home / "run", moved, symlinks=True)
        config = moved / "config.resolved.json"
        config.write_text(config.read_text().replace(str(self.home / "titles.model"), "/gone/titles.model"))
        source = ["--run", moved]
        _, there = self.evaluate("--no-report", "--no-cache", source=source)
        self.assertEqual(there["strict"], at_home["strict"])
        (moved / "tokenizer.model").unlink()
        shutil.rmtree(self.output)
        self.refused(*source, *self.options(), naming=["/gone/titles.model"])

    def test_unanswerable_queries_are_refused_or_left_out(self):
        options = ["--run", self.home / "run", *self.options("unanswerable")]
        self.refused(*options, naming=["'lost'", "unanswerable", "--skip-unanswerable"])
        done = run("capture_eval", *options, "--skip-unanswerable", "--output", self.output)
        self.assertEqual(done.returncode, 0, done.stderr)
        metrics = json.loads((self.output / "metrics.json").read_text())
        self.assertEqual(metrics["sizes"]["skipped_unanswerable"], 1)
        self.assertEqual(metrics["sizes"]["queries"], 4)

    def test_bad_models_are_refused(self):
        self.refused("--run", self.home / "nowhere", *self.options(), naming=["nowhere", "config.resolved.json"])
        self.refused("--run", self.home / "gallery", *self.options(), naming=["config.resolved.json"])
        broken = self.home / "broken"
        shutil.copytree(self.home / "run", broken, symlinks=True)
        for step in (broken / "checkpoints").glob("step_*"):
            weights = step / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-100])
        self.refused("--run", broken, "--checkpoint", max((broken / "checkpoints").glob("step_*")), *self.options(),
                     naming=["model.safetensors"])
        self.refused("--run", self.home / "run", "--checkpoint", "99999", *self.options(), naming=["step_99999"])
        tokenizer = ["--tokenizer", self.home / "titles.model"]
        self.refused("--model", self.home / "tiny.json", *tokenizer, *self.options(), naming=["tiny.json"])
        self.refused("--model", self.home / "train/scaling.safetensors", *tokenizer, *self.options(),
                     naming=["scaling.safetensors"])

    def test_what_does_not_fit_the_model_is_refused(self):
        self.must("capture_tokenizer", "train", "--titles", self.home / "train.jsonl", "--vocabulary-size", 50,
                  "--output", self.home / "other.model")
        self.refused("--run", self.home / "run", "--tokenizer", self.home / "other.model", *self.options(),
                     naming=["vocabulary of size 60", "50"])
        self.must("capture_data", "import-images", "--list", self.home / "gallery.jsonl", "--output",
                  self.home / "wide", "--feature-width", 24, "--fit-scaling", "--force")
        self.refused("--run", self.home / "run", "--gallery", self.home / "wide", "--queries", self.home / "queries",
                     naming=["features of width 16", "24"])

    def test_bad_data_are_refused(self):
        run_options = ["--run", self.home / "run"]
        self.refused(*run_options, "--gallery", self.home / "nowhere", "--queries", self.home / "queries",
                     naming=["nowhere"])
        self.refused(*run_options, "--gallery", self.home / "gallery", self.home / "gallery", "--queries",
                     self.home / "queries", naming=["stands twice"])
        shard = next((self.home / "queries").glob("*.capshard"))
        cut = self.home / "cut.capshard"
        cut.write_bytes(shard.read_bytes()[:-1000])
        self.refused(*run_options, "--gallery", self.home / "gallery", "--queries", cut, naming=["cut.capshard"])

    def test_bad_options_are_refused(self):
        options = ["--run", self.home / "run", *self.options()]
        self.refused(*options, "--recipe", "pre.sun", naming=["pre.sun", "did you mean pre.sum"])
        self.refused(*options, "--device", "cuda:7", naming=["cuda:7"])
        self.refused(*options, "--device", "abacus", naming=["abacus"])
        done = run("capture_eval", *options, "--output", "/proc/eval")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/proc", done.stderr)

    def test_usage(self):
        for arguments in [["--run", self.home / "run"], ["--model", "m", "--gallery", "g", "--queries", "q"],
                          ["--run", "r", "--model", "m", *self.options()],
                          ["--run", "r", "--rankings", "x", *self.options()],
                          ["--run", "r", "--tokenizer", "a", "--vocab", "b", *self.options()]]:
            done = run("capture_eval", *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)


if __name__ == "__main__":
    unittest.main()
