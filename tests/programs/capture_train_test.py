"""capture_train as a user runs it: run folders, interruptions at any moment, and clear refusals."""
import contextlib
import json
import os
import pathlib
import pty
import random
import resource
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
import zlib

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
SOURCE = pathlib.Path(os.environ["CAPTURE_SOURCE"])
WORDS = "red green blue round square small large sweet sour fresh".split()

CONFIG = {
    "model": {
        "width": 16, "projection_width": 8, "vocabulary_size": 0, "feature_width": 0, "text_positions": 16,
        "text": {"layers": 1, "heads": 2, "feed_forward": 16},
        "image": {"layers": 1, "heads": 2, "feed_forward": 16},
        "cross": {"layers": 1, "heads": 2, "width": 16},
        "co_transformer": {"layers": 1, "heads": 2, "positions": 64},
    },
    "loader": {"batch_size": 4, "max_tokens": 12, "max_regions": 6, "workers": 1},
    "optimizer": {"learning_rate": 3e-3},
    "trainer": {
        "device": "cpu", "threads": 1, "epochs": 12, "log_interval": 3, "checkpoint_interval": 7,
        "validation_interval": 10, "accumulation": 2,
    },
}


def png(path, draw, size=48):
    """A photo of coloured noise, written by hand."""
    rows = b"".join(b"\0" + bytes(draw.randrange(256) for _ in range(3 * size)) for _ in range(size))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_data(folder, name, count, width=8):
    draw = random.Random(name)
    photos = folder / f"{name}_photos"
    photos.mkdir()
    lines = []
    for i in range(count):
        png(photos / f"{i}.png", draw)
        lines.append(json.dumps({"image": f"{name}_photos/{i}.png", "title": " ".join(draw.sample(WORDS, 4))}))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    subprocess.run([BIN / "capture_data", "import-images", "--list", folder / f"{name}.jsonl", "--output", folder / name,
                    "--fit-scaling", "--feature-width", str(width)], check=True, capture_output=True, timeout=120)


def setUpModule():
    global DATA
    DATA = pathlib.Path(tempfile.mkdtemp(prefix="capture_train_data_"))
    make_data(DATA, "train", 22)
    make_data(DATA, "validation", 6)
    make_data(DATA, "narrow", 4, width=4)
    (DATA / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")


def tearDownModule():
    shutil.rmtree(DATA)


class TrainCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="capture_train_"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = self.folder / "config.json"
        config = json.loads(json.dumps(CONFIG))
        config["tokenizer"] = {"type": "wordpiece", "file": str(DATA / "vocab.txt")}
        config["data"] = {"train": [str(DATA / "train")], "validation": [str(DATA / "validation")]}
        self.config.write_text(json.dumps(config))

    def command(self, output, *arguments):
        return [BIN / "capture_train", "--config", self.config, "--output", self.folder / output, *map(str, arguments)]

    def train(self, output, *arguments, **options):
        return subprocess.run(self.command(output, *arguments), capture_output=True, text=True, timeout=300, **options)

    def must_train(self, output, *arguments):
        done = self.train(output, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, done, *parts):
        """Exit code 1 and one sentence that holds every part."""
        message = [line for line in done.stderr.splitlines() if line.startswith("capture_train: ")]
        self.assertEqual((done.returncode, len(message)), (1, 1), done.stderr)
        for part in parts:
            self.assertIn(part, message[0])

    def lines(self, output):
        text = (self.folder / output / "metrics.jsonl").read_text()
        self.assertTrue(text.endswith("\n"))
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            for key in ["samples_per_second", "tflops", "mfu", "memory_megabytes"]:  # the clock's and the machine's
                line.pop(key, None)
        return lines

    def weights(self, output):
        return max((self.folder / output / "checkpoints").glob("step_*"), key=lambda path: int(path.name[5:])) / "model.safetensors"

    def assertSameRun(self, one, other):
        self.assertEqual(self.lines(one), self.lines(other))
        self.assertEqual(self.weights(one).name, self.weights(other).name)
        self.assertEqual(self.weights(one).read_bytes(), self.weights(other).read_bytes())

    def start_and_wait(self, output, steps, *arguments):
        """Starts a run and returns its process when metrics.jsonl speaks of `steps` steps."""
        process = subprocess.Popen(self.command(output, *arguments), stderr=subprocess.PIPE, text=True)
        metrics = self.folder / output / "metrics.jsonl"
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if metrics.exists() and f'{{"step":{steps},' in metrics.read_text():
                break
            time.sleep(0.001)
        return process


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


class Interruptions(TrainCase):
    def test_killed_at_any_moment_it_repeats_the_uninterrupted_run(self):
        self.must_train("whole")
        for steps in [3, 10, 21, 33]:
            output = f"killed_{steps}"
            process = self.start_and_wait(output, steps)
            process.kill()
            process.communicate()
            self.must_train(output, "--resume", "auto")
            self.assertSameRun("whole", output)

    def test_killed_again_and_again(self):
        self.must_train("whole")
        draw = random.Random(5)
        for _ in range(6):
            process = subprocess.Popen(self.command("killed", "--resume", "auto"), stderr=subprocess.DEVNULL)
            time.sleep(draw.uniform(0.05, 1.5))
            process.kill()
            process.wait()
        self.must_train("killed", "--resume", "auto")
        self.assertSameRun("whole", "killed")

    def test_sigterm_ends_the_step_and_says_how_to_go_on(self):
        self.must_train("whole")
        for number in [signal.SIGTERM, signal.SIGINT]:
            output = f"stopped_{number}"
            process = self.start_and_wait(output, 12)
            process.send_signal(number)
            _, message = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 128 + number, message)
            self.assertIn("--resume auto", message)
            self.must_train(output, "--resume", "auto")
            self.assertSameRun("whole", output)

    def test_a_log_that_nobody_reads_any_more_ends_no_run(self):
        self.must_train("whole")
        process = self.start_and_wait("unread", 12)
        process.stderr.close()  # as when Ctrl-C ends `tee` too
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 128 + signal.SIGINT)
        self.must_train("unread", "--resume", "auto")
        self.assertSameRun("whole", "unread")

    def test_a_stop_leaves_the_validation_that_is_due_to_the_next_run(self):
        often = ["--set", "trainer.validation_interval=1"]
        self.must_train("whole", *often)
        process = self.start_and_wait("stopped", 12, *often)
        process.terminate()
        process.communicate(timeout=60)
        state = json.loads((self.weights("stopped").parent / "state.json").read_text())["state"]
        self.assertTrue(state["unmeasured"])
        self.assertFalse([line for line in self.lines("stopped") if line["step"] == state["step"] and "validation" in line])
        # A kill may fall between the validation and the checkpoint that knows of it.
        with open(self.folder / "stopped/metrics.jsonl", "a") as metrics:
            metrics.write(json.dumps({"step": state["step"], "validation": {}}, separators=(",", ":")) + "\n")
        self.must_train("stopped", "--resume", "auto", *often)
        self.assertSameRun("whole", "stopped")

    def test_a_damaged_checkpoint_is_passed_over_by_name(self):
        self.must_train("whole")
        self.must_train("damaged", "--set", "trainer.keep_last=9")
        for step, name in [(36, "model.safetensors"), (35, "state.json")]:
            path = self.folder / f"damaged/checkpoints/step_{step}" / name
            path.write_bytes(path.read_bytes()[:-20])
        (self.folder / "damaged/checkpoints/step_99.writing").mkdir()
        done = self.must_train("damaged", "--resume", "auto")
        self.assertIn("step_36/model.safetensors", done.stderr)
        self.assertIn("step_35/state.json", done.stderr)
        self.assertSameRun("whole", "damaged")
        self.assertFalse((self.folder / "damaged/checkpoints/step_99.writing").exists())
        left = list((self.folder / "damaged/checkpoints").glob("step_*/optimizer.safetensors"))
        for path in left:
            path.write_bytes(path.read_bytes()[:-1])
        self.refused(self.train("damaged", "--resume", "auto"), "damaged: holds no checkpoint that is whole", "start anew")
        self.assertTrue(all(path.exists() for path in left))

    def test_goes_on_from_a_checkpoint_of_another_folder(self):
        self.must_train("whole", "--set", "trainer.keep_last=9")
        self.must_train("fork", "--resume", f"{self.folder}/whole/checkpoints/step_21/")
        self.assertEqual(self.weights("whole").read_bytes(), self.weights("fork").read_bytes())
        self.assertEqual([line for line in self.lines("whole") if line["step"] > 21], self.lines("fork"))
        again = self.train("fork", "--resume", self.folder / "whole/checkpoints/step_21")
        self.refused(again, "fork: holds a run of its own", "--resume auto")

    def test_a_moved_folder_goes_on_with_its_own_tokenizer(self):
        words = self.folder / "words.txt"
        shutil.copy(DATA / "vocab.txt", words)
        self.must_train("whole", "--set", "trainer.keep_last=9", "--set", f"tokenizer.file={words}")
        moved = self.folder / "elsewhere/whole"
        shutil.copytree(self.folder / "whole", moved, symlinks=True)
        shutil.copytree(DATA / "train", self.folder / "elsewhere/train")
        self.config = moved / "config.resolved.json"
        resume = ["--resume", moved / "checkpoints/step_21", "--set", f'data.train=["{self.folder}/elsewhere/train"]']

        words.unlink()
        done = self.must_train("fork", *resume)
        self.assertNotIn("differs", done.stderr)
        self.assertEqual(self.weights("whole").read_bytes(), self.weights("fork").read_bytes())
        self.assertEqual((self.folder / "fork/vocab.txt").read_bytes(), (DATA / "vocab.txt").read_bytes())
        self.must_train("renamed", *resume, "--set", f"tokenizer.file={DATA}/vocab.txt")
        self.assertEqual(self.weights("whole").read_bytes(), self.weights("renamed").read_bytes())

        pieces = (DATA / "vocab.txt").read_text().splitlines()
        words.write_text("\n".join(pieces[:5] + pieces[:4:-1]) + "\n")
        self.refused(self.train("other", *resume), "words.txt is not the one", "elsewhere/whole/vocab.txt")
        words.unlink()
        (moved / "vocab.txt").unlink()
        self.refused(self.train("none", *resume), "words.txt", "No such file")

    def test_changes_between_a_checkpoint_and_its_resumption_are_named(self):
        self.must_train("run", "--set", "trainer.steps=7")
        done = self.must_train("run", "--resume", "auto", "--set", "trainer.steps=9")
        self.assertIn("trainer.steps was 7", done.stderr)
        self.assertIn("trainer.steps was 7", (self.folder / "run/log.txt").read_text())
        self.refused(self.train("run", "--resume", "auto", "--set", "model.width=32"), "model.width was 16")

    def test_a_complete_run_is_left_alone(self):
        self.must_train("run", "--set", "trainer.steps=4")
        before = self.weights("run").read_bytes()
        self.must_train("run", "--resume", "auto", "--set", "trainer.steps=4")
        self.assertEqual(before, self.weights("run").read_bytes())
        done = self.must_train("run", "--resume", "auto", "--set", "trainer.steps=3")
        self.assertIn("done: 4 steps;", done.stderr)

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
        self.refuse("optimizer.beta1", settings=["optimizer.beta1=1.5"])
        self.refuse("optimizer.type", "adamw", "bert_adam", settings=["optimizer.type=adam"])
        self.refuse("schedule.warmup_steps", settings=["schedule.warmup_steps=9", "trainer.steps=5"])
        self.refuse("loader.max_tokens", "model.text_positions", settings=["loader.max_tokens=17"])
        self.refuse("loader.max_tokens", "first_region", settings=["model.co_transformer.first_region=11"])
        self.refuse("model.text.heads", "divis", settings=["model.text.heads=3"])
        self.refuse("optimizer.scales", "txt_stream", settings=['optimizer.scales=[{"prefix":"txt_stream","scale":2}]'])
        self.config.write_text("{\n  \"trainer\": {\n    \"seed\": 1,\n    \"seed\": 2\n  }\n}\n")
        self.refuse("config.json:4", "seed")
        self.config.unlink()
        self.refuse("config.json")

    def test_data(self):
        self.refuse("data.train", settings=["data.train=[]"])
        self.refuse("nowhere", settings=['data.train=["nowhere"]'])
        self.refuse("model.feature_width", "8", "4", settings=[f'data.train=["{DATA}/narrow"]', "model.feature_width=8"])
        self.refuse("model.feature_width", "validation", settings=[f'data.validation=["{DATA}/narrow"]'])
        self.refuse("model.vocabulary_size", "15", settings=["model.vocabulary_size=21128"])
        self.refuse("no_vocab.txt", settings=["tokenizer.file=no_vocab.txt"])
        self.refuse("model.co_transformer.positions", settings=["model.co_transformer.positions=42"])
        self.refuse("class", settings=["objective.region_objective=classes"])
        self.refuse("drop_last", settings=["loader.drop_last=true", "loader.batch_size=64"])

    def test_devices_and_weights(self):
        self.refuse("device", settings=["trainer.device=tpu"])
        self.refuse("weights.safetensors", arguments=["--init", self.folder / "weights.safetensors"])
        self.refuse("vocab.txt", arguments=["--init", DATA / "vocab.txt"])
        self.refuse("checkpoint", arguments=["--resume", DATA])

    def test_outputs(self):
        (self.folder / "run").mkdir()
        (self.folder / "run/letter.txt").write_text("dear")
        for resume in ["never", "auto"]:
            self.refused(self.train("run", "--resume", resume), "run", "--output")
        self.must_train("done", "--set", "trainer.steps=1")
        self.refused(self.train("done"), "--resume auto")
        (self.folder / "file").write_text("")
        self.refused(self.train("file/run"), "file")
        self.assertEqual(self.train("x", "--no-such-flag").returncode, 2)

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
        done = self.train("run", "--set", "trainer.max_bad_steps=4", "--set", "optimizer.learning_rate=100",
                          "--set", 'optimizer.scales=[{"prefix":"co_transformer","scale":1000}]')
        self.refused(done, "5 steps in a row", "trainer.max_bad_steps")
        self.assertEqual(done.stderr.count("is skipped"), 5)


if __name__ == "__main__":
    unittest.main()
