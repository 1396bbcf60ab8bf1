"""What tests of capture_train in several processes share: data, a small run, and ways to start it and to compare it."""
import array
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from small_model import small_config

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
PAIRS, BATCH = 29, 8  # an epoch's last batch is one of 5 pairs, for 2 and 4 ranks too


def setUpModule():
    global DATA
    DATA = pathlib.Path(tempfile.mkdtemp(prefix="capture_ranks_data_"))
    subprocess.run([BIN / "capture_data", "synth", "--output", DATA / "world", "--train", str(PAIRS), "--gallery", "0",
                    "--queries", "0", "--feature-width", "8", "--regions", "6"], check=True, capture_output=True, timeout=60)


def tearDownModule():
    shutil.rmtree(DATA)


def tensors(path):
    """{name: float32 numbers} of a .safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: array.array("f", data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]])
            for name, entry in header.items()}


def norm(numbers):
    return math.sqrt(sum(number * number for number in numbers))


class RanksCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="capture_ranks_"))
        self.addCleanup(shutil.rmtree, self.folder)
        config = small_config(log_interval=1)
        # Of 8 numbers ReLU may leave hardly one, and what is then scaled to length 1 is rounding.
        config["model"]["projection_width"] = 32
        config["tokenizer"] = {"type": "wordpiece", "file": str(DATA / "world/vocab.txt")}
        config["data"] = {"train": [str(DATA / "world/train")]}
        config["loader"].update(workers=1, max_tokens=16)
        config["optimizer"] = {"learning_rate": 1e-3, "epsilon": 1e-6}
        config["trainer"].update(steps=20, checkpoint_interval=100)
        config["distributed"] = {"timeout_seconds": 20}
        self.config = self.folder / "config.json"
        self.config.write_text(json.dumps(config))
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def command(self, output, ranks, *settings, resume="never"):
        settings = [f"loader.batch_size={BATCH // ranks}", *settings]
        launch = ["--launch", str(ranks)] if ranks > 1 else []
        return [BIN / "capture_train", "--config", self.config, "--output", self.folder / output, "--resume", resume,
                *launch, *[word for setting in settings for word in ("--set", setting)]]

    def train(self, *arguments, **options):
        done = subprocess.run(self.command(*arguments, **options), capture_output=True, text=True, timeout=120,
                              env=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def start(self, output, ranks, steps, *settings):
        """A long run, when it has done some steps, and the process id of each rank."""
        process = subprocess.Popen(self.command(output, ranks, "trainer.steps=1000000", *settings), stderr=subprocess.PIPE, text=True,
                                   env=self.environment)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        self.until_step(process, output, steps)
        return process, self.ids(output, ranks)

    def until_step(self, process, output, step):
        metrics = self.folder / output / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while not (metrics.exists() and f'{{"step":{step},' in metrics.read_text()):
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def ids(self, output, ranks):
        """The process of each rank that was started last."""
        return [int(re.findall(r"is process (\d+)", self.log(output, rank))[-1]) for rank in range(ranks)]

    def until_gone(self, ids):
        deadline = time.monotonic() + 60
        while any(self.lives(number) for number in ids):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def lives(self, number):
        try:
            return "State:\tZ" not in pathlib.Path(f"/proc/{number}/status").read_text()
        except OSError:
            return False

    def log(self, output, rank):
        return (self.folder / output / ("log.txt" if rank == 0 else f"log.rank{rank}.txt")).read_text()

    def files(self, output):
        return sorted(re.sub("tfevents.*", "tfevents", path.name) for path in (self.folder / output).iterdir())

    def losses(self, output):
        lines = [json.loads(line) for line in (self.folder / output / "metrics.jsonl").read_text().splitlines()]
        return [[line[key] for key in ("loss", "masked_tokens", "masked_regions", "contrastive")] for line in lines]

    def assertSameNumbers(self, one, other):
        for mine, yours in zip(self.losses(one), self.losses(other), strict=True):
            for a, b in zip(mine, yours):
                self.assertAlmostEqual(a, b, delta=1e-6 * abs(a))
        weights, others = (tensors(self.folder / name / "checkpoints/step_20/model.safetensors") for name in (one, other))
        whole = norm([norm(numbers) for numbers in weights.values()])
        apart = norm([norm([a - b for a, b in zip(weights[name], others[name], strict=True)]) for name in weights])
        self.assertLess(apart, 1e-6 * whole)
