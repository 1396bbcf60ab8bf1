#!/usr/bin/env python3
"""Bad input to capture_train, capture_eval and capture_search: one clear sentence, exit code 1, nothing half-written.

Each method of BadInput is one kind. `bad_input_test.py --print` shows the commands and what they answer (docs/errors.md).
"""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(os.environ.get("CAPTURE_BIN", "build/release/bin")).resolve()
SOURCE = pathlib.Path(os.environ.get("CAPTURE_SOURCE", ".")).resolve()
LOG_LINE = re.compile(r"^\d\d:\d\d:\d\d (info|warning) ")
PRINT = []

TINY = {
    "model": {
        "width": 16, "projection_width": 8, "vocabulary_size": 0, "feature_width": 0,
        "text": {"layers": 1, "heads": 2, "feed_forward": 16},
        "image": {"layers": 1, "heads": 2, "feed_forward": 16},
        "cross": {"layers": 1, "heads": 2, "width": 16},
        "co_transformer": {"layers": 1, "heads": 2, "positions": 96},
    },
    "tokenizer": {"type": "sentencepiece"},
    "loader": {"batch_size": 4, "max_tokens": 16},
    "trainer": {"epochs": 1},
}


def run(*command, cwd=None, file_limit=None, environment=()):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    return subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, errors="replace",
                          preexec_fn=limit if file_limit else None, timeout=300,
                          env={**os.environ, **dict(environment)})


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="capture_bad_input_"))
        cls.base = cls.folder / "base"
        cls.base.mkdir()
        rows = (SOURCE / "data/grocery/train.jsonl").read_text().splitlines()[:8]
        for row in rows:
            image = json.loads(row)["image"]
            (cls.base / image).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / "data/grocery" / image, cls.base / image)
        (cls.base / "list.jsonl").write_text("\n".join(rows) + "\n")
        titles = (SOURCE / "data/grocery/train.jsonl").read_text().splitlines()[:200]
        (cls.base / "titles.jsonl").write_text("\n".join(titles) + "\n")
        cls.prepare(["capture_tokenizer", "train", "--titles", "titles.jsonl", "--vocabulary-size", "120", "--output",
                     "titles.model"])
        for name, width in (("train", "24"), ("narrow", "12")):
            cls.prepare(["capture_data", "import-images", "--list", "list.jsonl", "--output", name, "--feature-width", width])
        cls.write_config(cls.base)
        cls.prepare(["capture_train", "--config", "config.json", "--output", "run"])

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def prepare(cls, command):
        done = run(BIN / command[0], *command[1:], cwd=cls.base)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr}")

    @staticmethod
    def write_config(folder, text=None, **sections):
        config = json.loads(json.dumps(TINY))
        config["tokenizer"]["file"] = "titles.model"
        config["data"] = {"train": ["train"]}
        for name, values in sections.items():
            config.setdefault(name, {}).update(values)
        (folder / "config.json").write_text(text if text is not None else json.dumps(config, indent=2))

    def setUp(self):
        self.work = self.folder / self.id().split(".")[-1]
        shutil.copytree(self.base, self.work)

    def refused(self, command, *parts, file_limit=None, environment=()):
        """Runs the command and checks that it is refused in one sentence that holds every part."""
        before = {p.relative_to(self.work) for p in self.work.rglob("*")}
        done = run(BIN / command[0], *command[1:], cwd=self.work, file_limit=file_limit, environment=environment)
        said = [line for line in done.stderr.splitlines() if line and not LOG_LINE.match(line)]
        text = "\n".join(said)
        shown = [*(f"{name}={value}" for name, value in dict(environment).items()), *map(str, command)]
        PRINT.append((self._testMethodName[5:].replace("_", " "), " ".join(shown), text))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(len(said), 1, done.stderr)
        self.assertTrue(text.startswith(command[0] + ": "), text)
        for part in parts:
            self.assertIn(part, text)
        self.assertNotIn(str(SOURCE / "src"), text)
        after = {p.relative_to(self.work) for p in self.work.rglob("*")}
        self.assertEqual(sorted(map(str, after - before)), [], "left behind")

    def train(self, *parts, arguments=(), **limits):
        self.refused(["capture_train", "--config", "config.json", "--output", "new", *arguments], *parts, **limits)

    # Configuration

    def test_config_that_does_not_exist(self):
        (self.work / "config.json").unlink()
        self.train("config.json", "No such file")

    def test_config_that_is_not_JSON(self):
        self.write_config(self.work, text='{\n  "model": {"width": 16,\n}')
        self.train("config.json:3")

    def test_unknown_key(self):
        self.write_config(self.work, optimizer={"learning_rat": 1e-3})
        self.train("config.json:", "optimizer.learning_rat", "did you mean \"optimizer.learning_rate\"")

    def test_key_that_stands_twice(self):
        self.write_config(self.work, text='{\n "trainer": {"epochs": 1,\n  "epochs": 2}}')
        self.train("config.json:3", "epochs", "twice")

    def test_value_of_the_wrong_type(self):
        self.write_config(self.work, loader={"batch_size": "many"})
        self.train("config.json:", "loader.batch_size", "whole number")

    def test_value_out_of_range(self):
        self.train("--set", "masking.token_probability", "0.0 to 1.0", arguments=["--set", "masking.token_probability=1.5"])

    def test_options_that_contradict_each_other(self):
        self.train("heads", arguments=["--set", "model.text.heads=3"])

    def test_batch_larger_than_the_data(self):
        self.train("8 samples", "loader.drop_last", arguments=["--set", "loader.batch_size=9", "--set", "loader.drop_last=true"])

    def test_process_without_its_rank(self):
        self.train("RANK", "is not set", environment={"WORLD_SIZE": "2"})

    def test_frozen_module_that_does_not_exist(self):
        self.train("optimizer.frozen", "txt_stream", arguments=["--set", 'optimizer.frozen=["txt_stream"]'])

    def test_best_metric_that_is_never_measured(self):
        self.train("trainer.best_metric", "evaluation", arguments=["--set", "trainer.best_metric=mAP@10"])

    def test_graphs_with_recomputed_layers(self):
        self.train("distributed.overlap", "distributed.reducer = capture",
                   arguments=["--set", "distributed.reducer=c10d", "--set", "distributed.overlap=false"])
        self.train("trainer.cuda_graph", "trainer.recompute",
                   arguments=["--set", "trainer.cuda_graph=true", "--set", "trainer.recompute=all"])

    def test_average_that_the_run_does_not_keep(self):
        self.refused(["capture_eval", "--run", "run", "--weights", "average", "--gallery", "train", "--queries", "train"],
                     "average", "ema.decay")

    def test_config_that_inherits_from_itself(self):
        self.write_config(self.work, text='{"base": "config.json"}')
        self.train("config.json", "base")

    # Data

    def test_shards_that_do_not_exist(self):
        self.train("nowhere", arguments=["--set", 'data.train=["nowhere"]'])

    def test_shard_cut_short(self):
        shard = next((self.work / "train").glob("*.capshard"))
        os.truncate(shard, shard.stat().st_size // 2)
        self.train(shard.name)

    def test_shard_with_a_damaged_header(self):
        shard = next((self.work / "train").glob("*.capshard"))
        data = bytearray(shard.read_bytes())
        data[40] ^= 0xFF
        shard.write_bytes(data)
        self.train(shard.name)

    def test_vocabulary_that_is_none(self):
        (self.work / "titles.model").write_bytes(b"not a model")
        self.train("titles.model")

    def test_feature_width_of_other_data(self):
        self.train("feature_width", "24", arguments=["--set", "model.feature_width=20"])

    # Weights and runs

    def test_weights_that_are_no_weights(self):
        (self.work / "weights.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
        self.train("weights.safetensors", arguments=["--init", "weights.safetensors"])

    def test_pickled_weights(self):
        (self.work / "pytorch_model.bin").write_bytes(b"PK\x03\x04rest")
        self.train("pytorch_model.bin", "convert_checkpoint", arguments=["--init", "pytorch_model.bin"])

    def test_run_folder_that_is_in_use(self):
        self.refused(["capture_train", "--config", "config.json", "--output", "run"], "run", "--resume auto")

    def test_resuming_with_another_tokenizer(self):
        titles = (SOURCE / "data/grocery/train.jsonl").read_text().splitlines()[300:500]
        (self.work / "others.jsonl").write_text("\n".join(titles) + "\n")
        run(BIN / "capture_tokenizer", "train", "--titles", "others.jsonl", "--vocabulary-size", "120", "--output",
            "others.model", cwd=self.work)
        self.refused(["capture_train", "--config", "config.json", "--output", "run", "--resume", "auto", "--set",
                      "tokenizer.file=others.model"], "others.model", "run/tokenizer.model")

    def test_device_that_is_not_there(self):
        self.train("device", "cuda:7", arguments=["--set", "trainer.device=cuda:7"])

    def test_output_that_is_a_file(self):
        self.refused(["capture_train", "--config", "config.json", "--output", "titles.model/run"], "titles.model")

    def test_full_disk_while_training(self):
        # The disk takes the tokenizer's copy, and not the weights.
        self.write_config(self.work, model={"width": 128})
        limit = (self.work / "titles.model").stat().st_size + 8192
        done = run(BIN / "capture_train", "--config", "config.json", "--output", "new", cwd=self.work, file_limit=limit)
        said = [line for line in done.stderr.splitlines() if line and not LOG_LINE.match(line)]
        PRINT.append(("full disk while training", "capture_train --config config.json --output new", "\n".join(said)))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(len(said), 1, done.stderr)
        self.assertIn("without a checkpoint", said[0])
        left = [p for p in (self.work / "new").rglob("*") if p.name.startswith("step_") or ".part-" in p.name]
        self.assertEqual(left, [], "a checkpoint that is not whole was left")

    # Paths that nobody can follow

    def refused_path(self, path, reason):
        for command in (["capture_train", "--config", "config.json", "--output", path],
                        ["capture_train", "--config", "config.json", "--output", path, "--resume", "auto"],
                        ["capture_train", "--config", "config.json", "--output", "new", "--resume", path],
                        ["capture_train", "--config", "config.json", "--output", "new", "--init", path],
                        ["capture_train", "--config", path, "--output", "new"],
                        ["capture_train", "--config", "config.json", "--output", "new", "--set", f'data.train=["{path}"]'],
                        ["capture_train", "--config", "config.json", "--output", "new", "--set", f"tokenizer.file={path}"],
                        ["capture_eval", "--run", path, "--gallery", "train", "--queries", "train", "--output", "new"],
                        ["capture_eval", "--run", "run", "--gallery", path, "--queries", "train", "--output", "new"],
                        ["capture_eval", "--run", "run", "--gallery", "train", "--queries", "train", "--output", path],
                        ["capture_eval", "compare", path, path],
                        ["capture_search", "--run", path, "--gallery", "train", "--title", "Apple"],
                        ["capture_search", "--run", "run", "--gallery", "train", "--photo", path],
                        ["capture_data", "import-images", "--list", "list.jsonl", "--output", path],
                        ["capture_data", "import-lmdb", path, "--output", "new"],
                        ["capture_data", "inspect", path],
                        ["capture_tokenizer", "train", "--titles", path, "--vocabulary-size", "120", "--output", "new"],
                        ["capture_weights", "inspect", path]):
            with self.subTest(" ".join(command).replace(path, path[:9])):
                self.refused(command, path, reason)

    def test_names_that_are_too_long(self):
        self.refused_path("x" * 300, "File name too long")

    def test_links_in_a_circle(self):
        (self.work / "circle").symlink_to("circle")
        self.refused_path("circle/x", "Too many levels of symbolic links")

    # Evaluation

    def evaluate(self, *parts, gallery="g1#####a#####u#####m#####A\ng2#####b#####u#####m#####B\n",
                 queries="q1#####a#####u#####m#####A\nq2#####b#####u#####m#####B\n", rankings="q1,g1,g2\nq2,g2,g1\n",
                 arguments=(), **limits):
        for name, text in (("gallery.txt", gallery), ("queries.txt", queries), ("rankings.txt", rankings)):
            if text is not None:
                (self.work / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        self.refused(["capture_eval", "--rankings", "rankings.txt", "--gallery-list", "gallery.txt", "--query-list",
                      "queries.txt", "--protocol", "strict", "--output", "new", *arguments], *parts, **limits)

    def test_ranking_list_that_does_not_exist(self):
        self.evaluate("rankings.txt", "No such file", rankings=None)

    def test_ranking_of_an_unknown_query(self):
        self.evaluate("q9", rankings="q1,g1,g2\nq2,g2,g1\nq9,g1\n")

    def test_ranking_with_an_unknown_item(self):
        self.evaluate("g9", rankings="q1,g1,g9\nq2,g2,g1\n")

    def test_ranking_with_an_item_twice(self):
        self.evaluate("q1", "g1", rankings="q1,g1,g1\nq2,g2,g1\n")

    def test_query_without_a_ranking(self):
        self.evaluate("q2", rankings="q1,g1,g2\n")

    def test_query_that_nothing_can_answer(self):
        self.evaluate("q2", "--skip-unanswerable", gallery="g1#####a#####u#####m#####A\n", rankings="q1,g1\nq2,g1\n")

    def test_list_with_a_broken_line(self):
        self.evaluate("gallery.txt:2", gallery="g1#####a#####u#####m#####A\ng2#####b\n")

    def test_list_that_is_not_UTF_8(self):
        self.evaluate("gallery.txt:1", gallery=b"g1#####\xff\xfe#####u#####m#####A\n")

    def test_full_disk_while_evaluating(self):
        self.evaluate("per_query.jsonl", "cannot write", file_limit=16)

    def test_folder_that_is_no_run(self):
        self.refused(["capture_eval", "--run", "train", "--gallery", "train", "--queries", "train"], "train")

    def test_model_file_cut_short(self):
        model = max((self.work / "run").rglob("model.safetensors"))
        os.truncate(model, model.stat().st_size - 100)
        self.refused(["capture_eval", "--model", model.relative_to(self.work), "--tokenizer", "titles.model", "--gallery",
                      "train", "--queries", "train", "--output", "new"], "model.safetensors")

    def test_gallery_of_another_feature_width(self):
        self.refused(["capture_eval", "--run", "run", "--gallery", "narrow", "--queries", "train", "--output", "new"],
                     "12", "24")

    # Searching

    def ask(self, *parts, arguments):
        self.refused(["capture_search", "--run", "run", "--gallery", "train", *arguments], *parts)

    def test_photo_that_does_not_exist(self):
        self.ask("apple.jpg", "No such file", arguments=["--photo", "apple.jpg"])

    def test_photo_that_is_none(self):
        self.ask("titles.jsonl", "not a picture", arguments=["--photo", "titles.jsonl"])

    def test_recipe_for_what_the_question_lacks(self):
        self.ask("pre.image-to-text", "photo", arguments=["--title", "Apple", "--recipe", "pre.image-to-text"])


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.argv.remove("--print")
        result = unittest.main(exit=False, argv=[sys.argv[0]]).result
        firsts = {entry[0]: entry for entry in reversed(PRINT)}  # of a kind that many options share
        for name, command, text in sorted(firsts.values()):
            command, text = (re.sub(r"x{30,}", "xxx…", words) for words in (command, text))
            text = re.sub(r"\S*/capture_bad_input_\w+/\w+/", "", text)
            text = re.sub(r"\.part-\d+", ".part-4711", text)
            print(f"**{name[0].upper()}{name[1:]}**\n```\n$ {command}\n{text}\n```\n")
        sys.exit(not result.wasSuccessful())
    unittest.main()
