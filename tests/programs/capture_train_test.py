"""capture_train as a user runs it: run folders and clear refusals."""
import contextlib
import json
import os
import pathlib
import pty
import resource
import signal
import subprocess
import unittest

from train_case import BIN, TrainCase, setUpModule, tearDownModule  # noqa: F401: unittest calls the last two

SOURCE = pathlib.Path(os.environ["CAPTURE_SOURCE"])


class Runs(TrainCase):
    def test_a_run_folder_holds_everything_and_repeats_itself(self):
        self.must_train("first")
        run = self.folder / "first"
        lines = self.lines("first")
        training = [line for line in lines if "loss" in line]
        self.assertEqual([line["step"] for line in training], list(range(3, 37, 3)))
        self.assertEqual([line["step"] for line in lines if "validation" in line], [10, 20, 30, 36])
        self.assertLess(training[-1]["loss"], training[0]["loss"])
        self.assertEqual(set(training[0]), {"step", "epoch", "learning_rate", "loss", "masked_tokens", "masked_regions",
                                            "contrastive", "gradient_norm", "skipped"})
        kept = {path.name for path in (run / "checkpoints").iterdir()}
        best = os.readlink(run / "checkpoints/best")
        self.assertEqual(kept, {"step_35", "step_36", best, "best"})
        self.assertTrue(any(run.glob("events.out.tfevents.*")))
        self.assertIn("36 steps", (run / "log.txt").read_text())

        # The resolved configuration is a configuration, and says the same.
        self.config = run / "config.resolved.json"
        self.must_train("second")
        self.assertSameRun("first", "second")
        self.assertEqual(self.config.read_text(), (self.folder / "second/config.resolved.json").read_text())

    def test_accumulation_does_not_change_masked_losses(self):
        common = ["--set", "trainer.steps=1", "--set", "trainer.log_interval=1", "--set", "model.dropout=0", "--set",
                  "model.attention_dropout=0", "--set", "objective.contrastive=0", "--set", "data.validation=[]"]
        self.must_train("whole", *common, "--set", "loader.batch_size=8", "--set", "trainer.accumulation=1")
        self.must_train("parts", *common, "--set", "loader.batch_size=2", "--set", "trainer.accumulation=4")
        whole, parts = self.lines("whole")[0], self.lines("parts")[0]
        for key in ["loss", "masked_tokens", "masked_regions", "gradient_norm"]:
            self.assertAlmostEqual(whole[key], parts[key], delta=2e-6 * max(1, whole[key]))

    def test_starts_from_weights_of_ours(self):
        self.must_train("first", "--set", "trainer.steps=2")
        self.must_train("second", "--set", "trainer.steps=1", "--set", "optimizer.learning_rate=0", "--init",
                        self.weights("first"))
        self.assertEqual(self.weights("first").read_bytes(), self.weights("second").read_bytes())

    def test_help_and_schema_come_from_the_options(self):
        help_text = subprocess.run([BIN / "capture_train", "--help-config"], capture_output=True, text=True, check=True)
        self.assertIn("trainer.max_bad_steps = 10", help_text.stdout)
        schema = json.loads(subprocess.run([BIN / "capture_train", "--print-schema"], capture_output=True, check=True).stdout)
        self.assertFalse(schema["properties"]["optimizer"]["additionalProperties"])
        committed = SOURCE / "configs/capture_train.schema.json"
        self.assertEqual(schema, json.loads(committed.read_text()),
                         "run `capture_train --print-schema > configs/capture_train.schema.json`")
        reference = (SOURCE / "docs/configuration.md").read_text()
        self.assertIn(help_text.stdout.strip(), reference, "docs/configuration.md must hold what --help-config prints")

    def test_on_a_terminal_lines_take_the_place_of_the_progress_bar(self):
        terminal, its_end = pty.openpty()
        self.addCleanup(os.close, terminal)
        with open(its_end, "wb") as its_end:
            process = subprocess.Popen(self.command("run"), stderr=its_end)
        text = b""
        with contextlib.suppress(OSError):  # the terminal's way to say that nobody writes to it any more
            while part := os.read(terminal, 4096):
                text += part
        self.assertEqual(process.wait(), 0)
        lines = text.decode().split("\r\n")[:-1]
        self.assertIn("training [", text.decode())
        self.assertIn("validation loss", text.decode())
        for line in lines:
            self.assertRegex(line.split("\r\x1b[K")[-1], r"^\d\d:\d\d:\d\d ")


class Refusals(TrainCase):
    def refuse(self, *parts, settings=(), arguments=()):
        done = self.train("run", *[word for setting in settings for word in ("--set", setting)], *arguments)
        self.refused(done, *parts)
        self.assertFalse((self.folder / "run").exists(), "nothing may be written")

    def test_configurations(self):
        self.refuse("trainer.epoch", "trainer.epochs", settings=["trainer.epoch=3"])
        self.refuse("loader.batch_size", "whole number", settings=['loader.batch_size="many"'])
        self.refuse("trainer.threads", "0 to 1024", settings=["trainer.threads=1025"])
        self.refuse("optimizer.beta1", settings=["optimizer.beta1=1.5"])
        self.refuse("optimizer.type", "adamw", "bert_adam", settings=["optimizer.type=adam"])
        self.refuse("schedule.warmup_steps", settings=["schedule.warmup_steps=9", "trainer.steps=5"])
        self.refuse("schedule.warmup_steps is 37, longer than the run of 36 steps", "x 3 steps an epoch",
                    settings=["schedule.warmup_steps=37"])
        self.refuse("masking.token_probability is 0", "objective.contrastive", settings=[
            "masking.token_probability=0", "masking.region_probability=0", "objective.contrastive=0"])
        self.refuse("masking.region_probability is 0", settings=[
            "objective.masked_tokens=0", "masking.region_probability=0", "objective.contrastive=0"])
        for metric, cause in [("masked_tokens", "objective.masked_tokens"), ("masked_regions", "objective.masked_regions"),
                              ("contrastive", "objective.contrastive"), ("masked_tokens", "masking.token_probability")]:
            self.refuse("trainer.best_metric", f"because {cause} is 0",
                        settings=[f"trainer.best_metric={metric}", f"{cause}=0"])
        self.refuse("optimizer.scales", 'two entries for "text_stream"', settings=[
            'optimizer.scales=[{"prefix":"text_stream","scale":2},{"prefix":"text_stream","scale":1}]'])
        self.refuse("loader.max_tokens", "model.text_positions", settings=["loader.max_tokens=17"])
        self.refuse("loader.max_tokens", "first_region", settings=["model.co_transformer.first_region=11"])
        self.refuse("model.text.heads", "divis", settings=["model.text.heads=3"])
        self.refuse("optimizer.scales", "txt_stream", settings=['optimizer.scales=[{"prefix":"txt_stream","scale":2}]'])
        self.refuse("tokenizer.file holds the character U+0000", settings=['tokenizer.file="a\\u0000b"'])
        self.refuse("trainer.precision holds the character", settings=['trainer.precision="a\\u0000b"'])
        self.config.write_text("{\n  \"trainer\": {\n    \"seed\": 1,\n    \"seed\": 2\n  }\n}\n")
        self.refuse("config.json:4", "seed")
        self.config.unlink()
        self.refuse("config.json")

    def test_data(self):
        self.refuse("data.train", settings=["data.train=[]"])
        for key in ["data.train", "data.validation"]:
            self.refuse(f"{key} has an empty path", settings=[f'{key}=[""]'])
        self.refuse("evaluation.gallery has an empty path", settings=['evaluation.gallery=[""]', 'evaluation.queries=["x"]'])
        self.refuse("the configuration: loader.weights has 2 numbers for 1 path of data.train", settings=["loader.weights=[1,2]"])
        self.refuse("the configuration: loader.weights leave nothing", settings=["loader.weights=[0]"])
        self.refuse("nowhere", settings=['data.train=["nowhere"]'])
        self.refuse("model.feature_width", "8", "4", settings=[f'data.train=["{self.data}/narrow"]', "model.feature_width=8"])
        self.refuse("model.feature_width", "validation", settings=[f'data.validation=["{self.data}/narrow"]'])
        self.refuse("model.vocabulary_size", "15", settings=["model.vocabulary_size=21128"])
        self.refuse("no_vocab.txt", settings=["tokenizer.file=no_vocab.txt"])
        self.refuse("model.co_transformer.positions", settings=["model.co_transformer.positions=42"])
        self.refuse("class", settings=["objective.region_objective=classes"])
        self.refuse("drop_last", settings=["loader.drop_last=true", "loader.batch_size=64"])

    def test_devices_and_weights(self):
        self.refuse("device", settings=["trainer.device=tpu"])
        self.refuse("weights.safetensors", arguments=["--init", self.folder / "weights.safetensors"])
        self.refuse("vocab.txt", arguments=["--init", self.data / "vocab.txt"])
        self.refuse("checkpoint", arguments=["--resume", self.data])
        self.refuse("--init a: ", "--resume b", "leave out one", arguments=["--init", "a", "--resume", "b"])

    def test_outputs(self):
        (self.folder / "run").mkdir()
        (self.folder / "run/letter.txt").write_text("dear")
        for resume in ["never", "auto"]:
            self.refused(self.train("run", "--resume", resume), "run", "--output")
        self.must_train("done", "--set", "trainer.steps=1")
        self.refused(self.train("done"), "--resume auto")
        own = self.folder / "done/config.resolved.json"
        for resume in ["never", "auto"]:
            done = subprocess.run([BIN / "capture_train", "--config", own, "--resume", resume], capture_output=True,
                                  text=True, timeout=60, cwd=self.folder)
            self.refused(done, f"{own}: ", "--output is missing", f"--output {self.folder}/done --resume auto")
        (self.folder / "file").write_text("")
        self.refused(self.train("file/run"), "file")
        self.assertEqual(self.train("x", "--no-such-flag").returncode, 2)

    def test_empty_arguments(self):
        for name in ["--config", "--output", "--resume", "--init"]:
            done = subprocess.run([BIN / "capture_train", name, ""], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"{name}: is empty", done.stderr)

    def test_one_folder_takes_one_run(self):
        process = self.start_and_wait("run", 3, "--set", "trainer.epochs=100000")
        self.refused(self.train("run", "--resume", "auto"), "another process")
        process.kill()
        process.communicate()

    def test_a_disk_too_full_for_any_checkpoint_ends_the_run_and_leaves_no_half_one(self):
        # A limit on file sizes stands for the disk: the optimiser's file is the largest.
        self.must_train("whole")
        size = self.weights("whole").stat().st_size

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, size + 4096))

        done = self.train("run", preexec_fn=limit)
        self.refused(done, "without a checkpoint", "optimizer.safetensors", "--resume auto")
        self.assertIn("no checkpoint of step 7: ", done.stderr)
        self.assertEqual(list((self.folder / "run/checkpoints").iterdir()), [])
        self.must_train("run", "--resume", "auto")
        self.assertSameRun("whole", "run")

    def test_steps_that_are_not_finite_end_the_run_in_the_end(self):
        explodes = ["--set", "trainer.max_bad_steps=4", "--set", "optimizer.learning_rate=100", "--set",
                    'optimizer.scales=[{"prefix":"co_transformer","scale":1000}]']
        done = self.train("run", *explodes)
        self.refused(done, "5 steps in a row", "trainer.max_bad_steps")
        self.assertEqual(done.stderr.count("is skipped"), 5)
        done = self.train("together", *explodes, "--launch", 2)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("is skipped"), 5, done.stderr)


if __name__ == "__main__":
    unittest.main()
