"""What tests of faults share: a small run of several processes, ways to stop and to watch it, and one in peace."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from small_model import small_config

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
WORLD = {"train": 64, "gallery": 8, "queries": 4, "products": 4, "regions": 6, "feature-width": 16,
         "vocabulary-size": 200, "seed": 7}
PATIENCE = 120  # seconds after which a process that should have ended counts as hung


def setUpModule():
    global BASE, WHOLE
    BASE = pathlib.Path(tempfile.mkdtemp(prefix="capture_faults_"))
    subprocess.run([BIN / "capture_data", "synth", "--output", BASE / "world",
                    *[str(text) for name, value in WORLD.items() for text in (f"--{name}", value)]],
                   check=True, capture_output=True, timeout=PATIENCE)
    config = small_config(log_interval=1)
    config["model"]["initializer_range"] = 0.1
    config["tokenizer"] = {"type": "wordpiece", "file": str(BASE / "world/vocab.txt")}
    config["data"] = {"train": [str(BASE / "world/train")], "validation": [str(BASE / "world/gallery")]}
    config["loader"] = {"batch_size": 4, "workers": 1, "max_tokens": 16}
    config["trainer"].update(steps=80, checkpoint_interval=5, validation_interval=16)
    (BASE / "config.json").write_text(json.dumps(config))
    WHOLE = Processes(2, BASE / "whole")
    WHOLE.must_finish()
    WHOLE.end()


def tearDownModule():
    shutil.rmtree(BASE)


class Processes:
    """A run of capture_train on several processes, which find each other as torchrun's do."""

    def __init__(self, count, output, *arguments, other_output=None, extra={}, places=None):
        self.output = output
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.processes = []
        self.lines = []  # of each process's standard error, which a thread of its own reads
        self.readers = []
        for rank in range(count):
            environment = {**os.environ, "OMP_NUM_THREADS": "1", **extra}
            if count > 1:
                environment.update(RANK=str(rank), WORLD_SIZE=str(count), LOCAL_RANK=str(rank),
                                   MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            folder = other_output if rank > 0 and other_output else output
            process = subprocess.Popen(
                [BIN / "capture_train", "--config", BASE / "config.json", "--output", folder, *map(str, arguments)],
                stderr=subprocess.PIPE, text=True, env=environment, cwd=places and places[rank])
            self.processes.append(process)
            self.lines.append([])
            self.readers.append(threading.Thread(target=self.read, args=[process.stderr, self.lines[-1]], daemon=True))
            self.readers[-1].start()

    @staticmethod
    def read(stream, lines):
        for line in stream:
            lines.append(line)

    def said(self, rank):
        return "".join(self.lines[rank])

    def all_said(self):
        return "\n".join(f"--- rank {rank}\n{self.said(rank)}" for rank in range(len(self.lines)))

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or all(process.poll() is not None for process in self.processes):
                raise AssertionError("the run did not come that far\n" + self.all_said())
            time.sleep(0.002)

    def until_step(self, step):
        metrics = self.output / "metrics.jsonl"
        self.until(lambda: metrics.exists() and f'{{"step":{step},' in metrics.read_text())

    def send(self, number, *ranks):
        for rank in ranks:
            self.processes[rank].send_signal(number)

    def pause(self, rank):
        """Returns when the last of its threads stands still, which the signal alone does not wait for."""
        def stands(thread):
            try:
                return ") T " in (thread / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                return True  # it has ended

        self.send(signal.SIGSTOP, rank)
        threads = pathlib.Path(f"/proc/{self.processes[rank].pid}/task")
        self.until(lambda: all(stands(thread) for thread in threads.iterdir()))

    def codes(self, *ranks):
        """Of those processes, or of all, when they have ended."""
        codes = []
        for rank in ranks or range(len(self.processes)):
            codes.append(self.processes[rank].wait(timeout=PATIENCE))
            self.readers[rank].join()
        return codes

    def must_finish(self):
        if self.codes() != [0] * len(self.processes):
            raise AssertionError(self.all_said())

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        self.codes()
        for process in self.processes:
            process.stderr.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.base = BASE
        self.whole = WHOLE  # two processes, 80 steps in peace
        self.output = BASE / self.id().split(".")[-1]

    def start(self, count=2, *arguments, **options):
        processes = Processes(count, self.output, *arguments, **options)
        self.addCleanup(processes.end)
        return processes

    def metrics(self, output):
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            for key in ["samples_per_second", "tflops", "mfu", "memory_megabytes"]:
                line.pop(key, None)
        return lines

    def assertSameRun(self, one, other):
        self.assertEqual(self.metrics(one), self.metrics(other))
        for name in ("model.safetensors", "optimizer.safetensors"):
            files = [output / "checkpoints/step_80" / name for output in (one, other)]
            self.assertEqual(files[0].read_bytes(), files[1].read_bytes(), name)

    def assertClear(self, processes, *ranks):
        """Exit code 1, and one sentence that says how to go on."""
        for rank in ranks:
            self.assertEqual(processes.codes(rank), [1], processes.all_said())
            sentences = [line for line in processes.said(rank).splitlines() if re.match(r"capture_train(, rank \d+)?: ", line)]
            self.assertEqual(len(sentences), 1, processes.all_said())
            self.assertIn("--resume auto", sentences[0])

    def steps(self):
        return sorted(int(path.name[5:]) for path in (self.output / "checkpoints").glob("step_*") if path.name[5:].isdigit())
