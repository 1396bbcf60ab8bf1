"""tools/gpu_check on the CPU: what it says without a GPU, and that everything but the GPU itself works."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
SOURCE = pathlib.Path(os.environ["CAPTURE_SOURCE"])
PEER = """import json, sys
print(json.dumps({"train_samples_per_s": 2.0, "embed_samples_per_s": 8.0, "arguments": sys.argv[1:]}))
"""


class GpuCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "peer.py").write_text(PEER)

    def run_check(self, *arguments, path=None):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **({"PATH": str(path)} if path else {})}
        command = [sys.executable, SOURCE / "tools" / "gpu_check", "--output", self.folder / "out", *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, env=environment)

    def test_without_a_gpu_it_says_so_and_ends(self):
        (self.folder / "no_programs").mkdir()
        done = self.run_check(path=self.folder / "no_programs")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("there is no GPU here", done.stderr)
        self.assertFalse((self.folder / "out").exists())

    def test_a_rehearsal_does_everything_on_the_cpu(self):
        done = self.run_check("--rehearse", "--bin", BIN, "--peer", self.folder / "peer.py")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads((self.folder / "out" / "gpu_check.json").read_text())
        self.assertEqual((report["failures"], report["left_out"]), ([], []))
        # Tests for GPUs are there, and were skipped or passed.
        self.assertGreater(sum(counts["skipped"] + counts["passed"] for counts in report["tests"].values()), 0)
        for batch in ("2", "4"):
            row = report["speed"][batch]
            self.assertGreater(row["train"]["samples_per_s"], 0)
            self.assertGreater(row["train"]["mfu"], 0)
            self.assertGreater(row["embed"]["samples_per_s"], 0)
            self.assertEqual(row["peer"]["arguments"][:2], ["--batch", batch])
        self.assertGreater(report["speed"]["4"]["recompute"]["samples_per_s"], 0)
        for training in ("training", "training on two"):
            self.assertGreater(report[training]["samples_per_s"], 0)
        self.assertTrue(pathlib.Path(report["training"]["trace"]).exists())
        self.assertLess(report["graphs"]["losses_apart"], 1e-3)
        self.assertLess(report["graphs"]["graphs_losses_apart"], 1e-3)
        self.assertEqual([report["forms"][form]["batches"] for form in ("packed", "padded")], ["packed", "padded"])
        self.assertLess(report["training on two"]["losses_apart"], 1e-3)
        self.assertIn("on one and on two: up to ", done.stdout)
        for line in (report["training"], report["training on two"]):
            self.assertLess(len(line["losses"]), line["steps"])  # some steps are between lines
        self.assertIn("from shards to weights at batch 4: packed ", done.stdout)
        self.assertIn("steps with Product1M's title lengths: packed ", done.stdout)
        self.assertIn("| 4, recomputing |", done.stdout)
        self.assertIn("no step waited for the GPU", done.stdout)
        self.assertIn("a rehearsal", done.stdout)

    def test_what_does_not_fit_into_the_time_is_named(self):
        done = self.run_check("--rehearse", "--bin", BIN, "--minutes", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads((self.folder / "out" / "gpu_check.json").read_text())["left_out"],
                         ["tests", "training", "graphs", "training on two", "forms", "some of the speeds"])
        self.assertIn("left out, for want of time: training", done.stdout)

    def programs_that(self, do):
        for name in ("capture_train", "capture_data", "capture_bench"):
            program = self.folder / name
            program.write_text(f"#!/bin/sh\n{do}\n")
            program.chmod(0o755)

    def test_programs_that_hang_do_not_take_the_time_of_the_others(self):
        self.programs_that("exec sleep 600")
        done = self.run_check("--rehearse", "--bin", self.folder, "--minutes", "0.05")
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED: capture_data was not done after 1 s and was ended", done.stdout)
        self.assertEqual(json.loads((self.folder / "out" / "gpu_check.json").read_text())["left_out"][:2],
                         ["training", "graphs"])

    def test_parts_that_break_are_named_and_the_others_go_on(self):
        self.programs_that("exit 0")  # and leave nothing
        done = self.run_check("--rehearse", "--bin", self.folder)
        self.assertEqual(done.returncode, 1)
        failures = json.loads((self.folder / "out" / "gpu_check.json").read_text())["failures"]
        self.assertEqual([failure.split(" broke: ")[0] for failure in failures],
                         ["training", "graphs", "training on two", "forms", "speed"])
        self.assertEqual(done.stdout.count("FAILED: "), 5)

    def test_programs_that_are_not_there_are_named(self):
        done = self.run_check("--rehearse", "--bin", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no capture_train, capture_data, capture_bench in", done.stderr)


if __name__ == "__main__":
    unittest.main()
