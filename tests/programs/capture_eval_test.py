"""capture_eval on a model: photos, a tiny training run, and what comes out of it."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
PHOTOS = pathlib.Path(os.environ["CAPTURE_SOURCE"]) / "data" / "grocery"
CONFIG = {
    "model": {
        "width": 16, "projection_width": 8, "vocabulary_size": 0, "feature_width": 0,
        "text": {"layers": 1, "heads": 2, "feed_forward": 32},
        "image": {"layers": 1, "heads": 2, "feed_forward": 32},
        "cross": {"layers": 1, "heads": 2, "width": 16},
        "co_transformer": {"layers": 1, "heads": 2},
    },
    "loader": {"batch_size": 8},
    "trainer": {"epochs": 2, "device": "cpu", "log_interval": 1, "threads": 1},
}


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
                         ["embeddings.safetensors", "gallery_list.txt", "metrics.json", "odd_lines.jsonl",
                          "per_query.jsonl", "query_list.txt", "report.html", "retrieval_id_list.txt"])
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

    def test_the_same_command_gives_the_same_figures_whatever_the_batch(self):
        _, first = self.evaluate("--batch", 1, "--no-report")
        _, second = self.evaluate("--batch", 7, "--workers", 2, "--no-report")
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
