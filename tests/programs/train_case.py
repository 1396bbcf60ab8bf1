"""What tests of capture_train share: data, a small run's configuration, and ways to run it and to look at it."""
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import time
import unittest
import zlib

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
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
        self.data = DATA
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
        return max((self.folder / output / "checkpoints").glob("step_*[0-9]"), key=lambda path: int(path.name[5:])) / "model.safetensors"

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
