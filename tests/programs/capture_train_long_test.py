"""What long runs need: a time limit, early stopping, averaged weights, frozen parts, retrieval on the way, traced NaNs."""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from small_model import small_config

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
WORLD = {"train": 64, "gallery": 41, "queries": 13, "products": 8, "regions": 4, "feature-width": 16,
         "vocabulary-size": 120, "seed": 3}
CLOCK = ["samples_per_second", "tflops", "mfu", "memory_megabytes"]


def run(program, *arguments):
    return subprocess.run([BIN / program, *map(str, arguments)], capture_output=True, text=True, timeout=300)


class LongRuns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="capture_long_"))
        cls.addClassCleanup(shutil.rmtree, cls.home)
        world = cls.home / "world"
        done = run("capture_data", "synth", "--output", world,
                   *[text for name, value in WORLD.items() for text in (f"--{name}", value)])
        assert done.returncode == 0, done.stderr
        config = small_config(log_interval=1)
        config["tokenizer"] = {"type": "wordpiece", "file": str(world / "vocab.txt")}
        config["data"] = {"train": [str(world / "train")], "validation": [str(world / "queries")]}
        config["optimizer"] = {"learning_rate": 3e-3}
        config["trainer"].update({"epochs": 3, "checkpoint_interval": 5, "keep_last": 99, "peak_tflops": 1})
        cls.config = cls.home / "config.json"
        cls.config.write_text(json.dumps(config))
        cls.retrieval = ["--set", f'evaluation.gallery=["{world}/gallery"]', "--set",
                         f'evaluation.queries=["{world}/queries"]']

    def train(self, output, *arguments):
        return run("capture_train", "--config", self.config, "--output", self.home / output, *arguments)

    def must_train(self, output, *arguments):
        done = self.train(output, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, done, *parts):
        message = [line for line in done.stderr.splitlines() if line.startswith("capture_")]
        self.assertEqual((done.returncode, len(message)), (1, 1), done.stderr)
        for part in parts:
            self.assertIn(part, message[0])

    def lines(self, output):
        lines = [json.loads(line) for line in (self.home / output / "metrics.jsonl").read_text().splitlines()]
        return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines]

    def files(self, output):
        """The tensors of the last checkpoint, by file."""
        last = max((self.home / output / "checkpoints").glob("step_*"), key=lambda path: int(path.name[5:]))
        return last.name, {path.name: path.read_bytes() for path in last.glob("*.safetensors")}

    def assertSameRun(self, one, other):
        self.assertEqual(self.lines(one), self.lines(other))
        self.assertEqual(self.files(one), self.files(other))

    def evaluated(self, name, weights):
        """mAP@10 of a run as capture_eval finds it."""
        world, output = self.home / "world", self.home / f"eval_{name}_{weights}"
        done = run("capture_eval", "--run", self.home / name, "--weights", weights, "--gallery", world / "gallery",
                   "--queries", world / "queries", "--recipe", "pre.sum", "--at", 10, "--threads", 1, "--protocol",
                   "strict", "--output", output)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((output / "metrics.json").read_text())["strict"]["top10"]["mAP"]

    def test_throughput_and_memory_are_logged(self):
        self.must_train("speed", "--set", "trainer.steps=2")
        line = json.loads((self.home / "speed/metrics.jsonl").read_text().splitlines()[0])
        self.assertTrue(set(CLOCK) < set(line))
        self.assertAlmostEqual(line["mfu"], line["tflops"], delta=1e-9)  # of a peak of 1 Tflop/s
        self.assertGreater(line["tflops"], 0)
        self.assertGreater(line["memory_megabytes"], 10)

    def test_a_run_that_uses_everything_repeats_itself_after_a_stop(self):
        everything = [*self.retrieval, "--set", "ema.decay=0.9", "--set", "optimizer.layer_decay=0.8", "--set",
                      'optimizer.frozen=["text_embedding","text_stream"]', "--set", "trainer.best_metric=mAP@10",
                      "--set", "evaluation.interval=4", "--set", "trainer.patience=99"]
        self.must_train("whole", *everything)
        # A checkpoint in the middle of everything, from which the rest is run again.
        self.must_train("again", *everything, "--resume", self.home / "whole/checkpoints/step_10")
        self.assertEqual([line for line in self.lines("whole") if line["step"] > 10], self.lines("again"))
        self.assertEqual(self.files("whole"), self.files("again"))

        figures = [line["evaluation"] for line in self.lines("whole") if "evaluation" in line]
        self.assertEqual([line["step"] for line in self.lines("whole") if "evaluation" in line], [4, 8, 12, 16, 20, 24])
        best = max(range(len(figures)), key=lambda i: figures[i]["mAP@10"])
        self.assertEqual(os.readlink(self.home / "whole/checkpoints/best"), f"step_{4 * (best + 1)}")

    def test_an_evaluation_leaves_no_trace_in_a_later_validation(self):
        # Packed products of weights that stay would serve on; in bfloat16 they round differently for certain.
        settings = [*self.retrieval, "--set", "evaluation.interval=5", "--set", "evaluation.recipe=post.sum", "--set",
                    "trainer.validation_interval=2", "--set", "trainer.steps=8", "--set", "trainer.precision=bfloat16",
                    "--set", 'optimizer.frozen=["co_transformer"]']
        self.must_train("evaluated", *settings)
        self.must_train("resumed", *settings, "--resume", self.home / "evaluated/checkpoints/step_5")
        self.assertEqual([line for line in self.lines("evaluated") if line["step"] > 5], self.lines("resumed"))

    def test_frozen_parts_stay_as_they_are(self):
        self.must_train("start", "--set", "trainer.steps=1")
        init = self.home / "start/checkpoints/step_1/model.safetensors"
        frozen = ["--set", 'optimizer.frozen=["text_stream","region_head"]', "--set", "trainer.steps=4"]
        self.must_train("frozen", "--init", init, *frozen)
        before, after = tensors(init), tensors(self.home / "frozen/checkpoints/step_4/model.safetensors")
        for name in before:
            parts = name.startswith("text_stream.") or name.startswith("region_head.")
            self.assertEqual(before[name] == after[name], parts, name)
        state = tensors(self.home / "frozen/checkpoints/step_4/optimizer.safetensors")
        self.assertFalse([name for name in state if name.startswith(("text_stream.", "region_head."))])
        self.refused(self.train("frozen", "--resume", "auto", "--set", "trainer.steps=8"), "text_stream", "optimizer.frozen")

    def test_the_average_is_what_is_measured(self):
        settings = [*self.retrieval, "--set", "ema.decay=0.99", "--set", "trainer.steps=16"]
        self.must_train("average", *settings)
        self.must_train("plain", *settings, "--set", "ema.decay=0")
        losses = {name: [line for line in self.lines(name) if "loss" in line] for name in ("average", "plain")}
        self.assertEqual(losses["average"], losses["plain"])
        self.assertEqual(self.files("average")[1]["model.safetensors"], self.files("plain")[1]["model.safetensors"])
        last = {name: [line for line in self.lines(name) if "evaluation" in line][-1]["evaluation"]
                for name in ("average", "plain")}
        self.assertNotEqual(last["average"], last["plain"])
        figures = {key: self.evaluated(*key)
                   for key in [("average", "average"), ("average", "trained"), ("plain", "trained")]}
        self.assertAlmostEqual(figures["average", "average"], last["average"]["mAP@10"], delta=1e-6)
        self.assertAlmostEqual(figures["plain", "trained"], last["plain"]["mAP@10"], delta=1e-6)
        self.assertEqual(figures["average", "trained"], figures["plain", "trained"])
        world = self.home / "world"
        done = run("capture_eval", "--run", self.home / "plain", "--weights", "average", "--gallery", world / "gallery",
                   "--queries", world / "queries")
        self.refused(done, "average", "ema.decay")

    def test_an_evaluation_that_cannot_be_is_refused_by_its_keys(self):
        world = self.home / "world"
        swapped = ["--set", f'evaluation.gallery=["{world}/queries"]', "--set", f'evaluation.queries=["{world}/gallery"]']
        done = self.train("swapped", *swapped)
        self.refused(done, "has no item of its labels", "; correct evaluation.gallery or evaluation.queries")
        self.assertNotIn("--skip", done.stderr)
        self.refused(self.train("foo", *self.retrieval, "--set", "evaluation.recipe=foo"), "evaluation.recipe: there is no")

    def test_patience_ends_a_run_and_it_stays_ended(self):
        settings = ["--set", "optimizer.learning_rate=0", "--set", "trainer.patience=3", "--set",
                    "trainer.validation_interval=2"]
        done = self.must_train("patient", *settings)
        self.assertIn("trainer.patience", done.stderr)
        self.assertEqual(self.files("patient")[0], "step_8")  # the first is the best, then three that are not
        before = self.files("patient")
        done = self.must_train("patient", *settings, "--resume", "auto")
        self.assertIn("trainer.patience", done.stderr)
        self.assertEqual(before, self.files("patient"))

    def test_what_was_measured_on_other_data_or_in_another_run_is_no_best_to_be_patient_with(self):
        still = ["--set", "optimizer.learning_rate=0", "--set", "trainer.validation_interval=2", "--set", "evaluation.interval=2"]
        patient = [*still, "--set", "trainer.patience=3"]
        retrieval = [*self.retrieval, "--set", "trainer.best_metric=mAP@10"]
        other = ["--set", f'data.validation=["{self.home}/world/gallery"]']
        for name, settings, changed, said in [
            ("validated", [], other, "loss was measured on other data before step 8"),
            ("evaluated", retrieval, ["--set", "evaluation.recipe=post.sum"], "mAP@10 was measured on other data before step 8"),
            ("forked", [], [], "the best loss so far is not in this run folder (step 2)"),
            ("forked_by_two", ["--launch", 2], [], "the best loss so far is not in this run folder (step 2)"),
        ]:
            with self.subTest(name):
                self.must_train(f"{name}_first", *still, *settings, "--set", "trainer.steps=8")
                self.assertEqual(os.readlink(self.home / f"{name}_first/checkpoints/best"), "step_2")
                if changed:
                    output, resume = f"{name}_first", "auto"
                else:
                    output, resume = name, self.home / f"{name}_first/checkpoints/step_8"
                command = [*patient, *settings, *changed, "--set", "trainer.steps=24", "--resume", resume]
                done = self.must_train(output, *command)
                self.assertEqual(done.stderr.count("begin anew"), 1, done.stderr)
                self.assertIn(said, done.stderr)
                # Step 10 is the first and so the best, then come three that are not.
                self.assertIn("done: 16 steps, ended early by trainer.patience", done.stderr)
                self.assertEqual(os.readlink(self.home / output / "checkpoints/best"), "step_10")
                done = self.must_train(output, *command)
                self.assertNotIn("begin anew", done.stderr)
                self.assertIn("done: 16 steps, ended early by trainer.patience", done.stderr)

    def test_a_time_limit_ends_a_run_in_time_and_it_goes_on(self):
        self.must_train("timeless", "--set", "trainer.steps=6")
        done = self.train("timed", "--set", "trainer.steps=6", "--set", "trainer.time_limit=1e-6")
        self.assertEqual(done.returncode, 124, done.stderr)
        self.assertIn("trainer.time_limit", done.stderr)
        self.assertEqual(self.files("timed")[0], "step_1")
        self.must_train("timed", "--set", "trainer.steps=6", "--resume", "auto")
        self.assertSameRun("timeless", "timed")

    def stop_while_measuring(self, output, step, *arguments):
        """Sends SIGTERM when the step is logged, which is just before it is measured."""
        process = subprocess.Popen([BIN / "capture_train", "--config", self.config, "--output", self.home / output,
                                    *map(str, arguments)], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        metrics = self.home / output / "metrics.jsonl"
        deadline = time.monotonic() + 120
        while not (metrics.exists() and f'{{"step":{step},' in metrics.read_text()):
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.001)
        time.sleep(0.1)
        process.terminate()
        _, message = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM, message)
        self.assertIn("asked to stop while measuring", message)

    def test_a_stop_waits_for_no_measurement(self):
        large = self.home / "large"
        done = run("capture_data", "synth", "--output", large,
                   *[text for name, value in {**WORLD, "gallery": 16000}.items() for text in (f"--{name}", value)])
        self.assertEqual(done.returncode, 0, done.stderr)
        retrieval = ["--set", f'evaluation.gallery=["{large}/gallery"]', "--set", f'evaluation.queries=["{large}/queries"]',
                     "--set", "evaluation.interval=3"]
        for name, step, settings in [
            ("validating", 3, ["--set", f'data.validation=["{large}/gallery"]']),
            ("validating_last", 4, ["--set", f'data.validation=["{large}/gallery"]']),
            ("validating_together", 3, ["--launch", 2, "--set", f'data.validation=["{large}/gallery"]']),
            ("evaluating_together", 3, ["--launch", 2, *retrieval]),
        ]:
            settings += ["--set", "trainer.steps=4", "--set", "trainer.validation_interval=3"]
            with self.subTest(name):
                self.must_train(f"{name}_whole", *settings)
                self.stop_while_measuring(name, step, *settings)
                self.assertEqual(self.files(name)[0], f"step_{step}")
                self.assertFalse([line for line in self.lines(name) if line["step"] == step and "loss" not in line])
                self.must_train(name, *settings, "--resume", "auto")
                self.assertSameRun(f"{name}_whole", name)
                states = [json.loads((self.home / run / "checkpoints/step_4/state.json").read_text())["state"]
                          for run in (name, f"{name}_whole")]
                self.assertEqual(states[0], states[1])

    def spoiled(self, name, sample):
        """A copy of a world's data where a sample's first feature is NaN."""
        folder = self.home / f"{name}_{sample}"
        shutil.copytree(self.home / "world" / name, folder)
        (shard,) = folder.glob("*.capshard")
        data = bytearray(shard.read_bytes())
        header = json.loads(data[32:32 + int.from_bytes(data[8:16], "little")])
        layout, at = header["layout"], header["records_at"] + sample * header["record_bytes"]
        self.assertEqual((layout["feature_type"], layout["class_count"]), ("float16", 0))
        features = -(-(32 + layout["max_views"] * 16 * (1 + layout["max_regions"])) // 64) * 64
        data[at + features:at + features + 2] = b"\x00\x7e"
        shard.write_bytes(data)
        return folder

    def test_a_measurement_that_fails_costs_no_step(self):
        often = ["--set", "trainer.checkpoint_interval=100", "--set", "trainer.steps=6", "--set",
                 "evaluation.interval=4", "--set", "trainer.validation_interval=4"]
        gallery, queries = self.spoiled("gallery", 7), self.spoiled("queries", 2)
        of_gallery = [f"{gallery}/", ", sample 7: evaluation.gallery: ", "of the 41 embeddings, 1 is not finite", "'g000000007'", "capture_data verify"]
        for name, ranks, spoiled, parts in [
            ("gallery", 1, f'evaluation.gallery=["{gallery}"]', of_gallery),
            ("queries", 1, f'evaluation.queries=["{queries}"]', [", sample 2: evaluation.queries: ", "of the 13 embeddings"]),
            ("gallery_of_two", 2, f'evaluation.gallery=["{gallery}"]', of_gallery),
        ]:
            settings = [*often, *self.retrieval, *(["--launch", ranks] if ranks > 1 else [])]
            with self.subTest(name):
                self.must_train(f"{name}_whole", *settings)
                for resume in ["never", "auto"]:  # a restart loses nothing either
                    done = self.train(name, *settings, "--set", spoiled, "--resume", resume)
                    self.assertEqual(done.returncode, 1, done.stderr)
                    for part in parts:
                        self.assertIn(part, done.stderr)
                    self.assertEqual(self.files(name)[0], "step_4")
                    state = json.loads((self.home / name / "checkpoints/step_4/state.json").read_text())["state"]
                    self.assertTrue(state["unmeasured"])
                self.must_train(name, *settings, "--resume", "auto")
                self.assertSameRun(f"{name}_whole", name)

    def test_a_measurement_that_fails_is_named_where_its_step_cannot_be_saved_either(self):
        settings = [*self.retrieval, "--set", f'evaluation.gallery=["{self.spoiled("gallery", 8)}"]', "--set",
                    "evaluation.interval=2"]

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))

        done = subprocess.run([BIN / "capture_train", "--config", self.config, "--output", self.home / "full", *settings],
                              capture_output=True, text=True, timeout=300, preexec_fn=limit)
        self.refused(done, "'g000000008'")
        self.assertIn("no checkpoint of step 2, of which the measurement failed: ", done.stderr)

    def test_processes_together_measure_and_stop_as_one(self):
        together = ["--launch", 2, "--set", "trainer.steps=4"]
        done = self.must_train("together", *together, *self.retrieval, "--set", "evaluation.interval=2", "--set",
                               "ema.decay=0.9", "--set", 'optimizer.frozen=["text_stream"]')
        self.assertEqual([line["step"] for line in self.lines("together") if "evaluation" in line], [2, 4], done.stderr)
        self.assertIn("average.safetensors", self.files("together")[1])
        # Each embeds its share, which together is the whole gallery.
        last = [line["evaluation"] for line in self.lines("together") if "evaluation" in line][-1]
        self.assertAlmostEqual(self.evaluated("together", "average"), last["mAP@10"], delta=1e-6)
        done = self.train("together_late", *together, "--set", "trainer.time_limit=1e-6")
        self.assertEqual(done.returncode, 124, done.stderr)
        self.assertEqual(self.files("together_late")[0], "step_1")

    def test_a_step_that_is_not_finite_is_traced(self):
        # One room alone learns, at an absurd rate, so that the first bad number can be nowhere else whatever is dropped.
        frozen = ["text_embedding", "region_embedding", "text_stream", "image_stream", "token_head", "region_head"]
        done = self.train("bad", "--set", "trainer.max_bad_steps=2", "--set", "optimizer.learning_rate=100", "--set",
                          'optimizer.scales=[{"prefix":"co_transformer","scale":1000}]', "--set",
                          f"optimizer.frozen={json.dumps(frozen)}")
        self.refused(done, "3 steps in a row")
        self.assertIn("the first number that is not finite is in", done.stderr)
        (report,) = (self.home / "bad/bad_steps").iterdir()
        told = json.loads(report.read_text())
        self.assertIn("co_transformer", told["first_bad_number"])
        self.assertEqual(report.name, f"step_{told['step']}.json")
        self.assertEqual([len(batch) for batch in told["batches"]], [8])

    def test_so_it_is_on_several_processes(self):
        # Without shuffling the two take turns. Whose pair gives the number says so, and which pair it is.
        for sample in (0, 1):
            with self.subTest(sample=sample):
                name = f"bad_of_two_{sample}"
                data = self.spoiled("train", sample)
                done = self.must_train(name, "--launch", 2, "--set", f'data.train=["{data}"]', "--set", "loader.shuffle=false",
                                       "--set", "trainer.steps=2")
                reports = {path.name: json.loads(path.read_text()) for path in (self.home / name / "bad_steps").iterdir()}
                own = "step_1.rank1.json" if sample == 1 else "step_1.json"
                culprit = f"{sample:09}"
                self.assertEqual([pair[-9:] for pair in reports[own]["pairs_that_give_it"]], [culprit], reports)
                self.assertTrue(all(not report["pairs_that_give_it"] for name, report in reports.items() if name != own))
                said = (self.home / name / ("log.rank1.txt" if sample == 1 else "log.txt")).read_text()
                self.assertRegex(said, rf"step 1: the first number that is not finite is in .*{culprit}")
                self.assertEqual([line["skipped"] for line in self.lines(name) if "skipped" in line], [1, 0], done.stderr)

    def test_contradictions_are_refused(self):
        for parts, settings in [
            (("evaluation.queries", "gallery"), ['evaluation.gallery=["x"]']),
            (("trainer.best_metric", "evaluation"), ["trainer.best_metric=mAP@10"]),
            (("trainer.patience",), ["trainer.patience=2", "data.validation=[]"]),
            (("optimizer.frozen", "txt_stream"), ['optimizer.frozen=["txt_stream"]']),
            (("pre.sums", "pre.sum"), [*self.retrieval[1::2], "evaluation.recipe=pre.sums"]),
            (("nowhere",), ['evaluation.gallery=["nowhere"]', 'evaluation.queries=["nowhere"]']),
        ]:
            done = self.train("refused", *[word for setting in settings for word in ("--set", setting)])
            self.refused(done, *parts)
            self.assertFalse((self.home / "refused").exists())


def tensors(path):
    """Names and bytes of a safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]]
            for name, entry in header.items()}


if __name__ == "__main__":
    unittest.main()
