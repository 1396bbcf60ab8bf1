"""capture_train's ways to find out what a run costs: a trace of a few steps, gradient checkpointing, and batch sizes."""
import json
import re
import subprocess
import unittest

from train_case import BIN, TrainCase, setUpModule, tearDownModule  # noqa: F401: unittest calls the last two


class Tuning(TrainCase):
    def test_a_trace_shows_steps_and_loader_and_changes_nothing(self):
        self.must_train("plain", "--set", "trainer.steps=8")
        done = self.must_train("traced", "--set", "trainer.steps=8", "--profile", 2)
        self.assertSameRun("plain", "traced")
        self.assertIn("2 steps recorded in", done.stderr)
        events = json.loads((self.folder / "traced" / "trace.json").read_text())["traceEvents"]
        names = [event.get("name") for event in events]
        for name in ("step 1", "step 2"):
            self.assertEqual(names.count(name), 1)
        # Two batches a step, four gradients of them.
        self.assertEqual([names.count(name) for name in ("forward", "backward", "update")], [4, 4, 2])
        self.assertIn("decode", names)
        self.assertIn("loader 0", [event["args"]["name"] for event in events if event.get("name") == "thread_name"])
        self.assertFalse((self.folder / "plain" / "trace.json").exists())

    def test_a_run_too_short_for_a_trace_says_so(self):
        done = self.must_train("short", "--set", "trainer.steps=3", "--profile", 4)
        self.assertRegex(done.stderr, "warning no step is recorded in .*trace.json: only 3 were taken, and the first 3 never are")
        self.assertFalse((self.folder / "short/trace.json").exists())

    def test_recomputing_layers_changes_nothing(self):
        self.must_train("plain", "--set", "trainer.steps=8")
        for which in ("co_transformer", "all"):
            self.must_train(which, "--set", "trainer.steps=8", "--set", f"trainer.recompute={which}")
            self.assertSameRun("plain", which)
        done = self.must_train("plain", "--resume", "auto", "--set", "trainer.steps=8", "--set", "trainer.recompute=all")
        self.assertNotIn("differs", done.stderr)

    def test_graphs_are_for_gpus_and_change_nothing_on_a_cpu(self):
        self.must_train("plain", "--set", "trainer.steps=4")
        done = self.must_train("asked", "--set", "trainer.steps=4", "--set", "trainer.cuda_graph=true")
        self.assertSameRun("plain", "asked")
        self.assertIn("warning trainer.cuda_graph is for one process on one GPU", done.stderr)

    def find(self, *arguments):
        command = [BIN / "capture_train", "--config", self.config, "--find-batch-size", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=self.folder)

    def test_batch_sizes_double_until_the_data_ends(self):
        done = self.find()
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = re.findall(r"^ *(\d+) +([\d.]+) +(\d+)$", done.stdout, re.MULTILINE)
        self.assertEqual([int(size) for size, _, _ in rows], [1, 2, 4, 8, 16])
        for _, rate, memory in rows:
            self.assertGreater(float(rate), 0)
            self.assertGreater(int(memory), 0)
        self.assertIn("largest: 16 (the training data has 22 pairs, too few for a batch of 32)", done.stdout)
        self.assertRegex(done.stdout, r"fastest: \d+\n")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["config.json"])

    def rows(self, *arguments):
        """(batch size, MiB) of what fits, and what is said of the largest."""
        done = self.find(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [(int(size), int(memory)) for size, memory in re.findall(r"^ *(\d+) +[\d.]+ +(\d+)$", done.stdout, re.MULTILINE)]
        return rows, re.search("^largest: .*$", done.stdout, re.MULTILINE)[0]

    def test_batch_sizes_stop_before_memory_is_full(self):
        (_, one), (_, two) = self.rows()[0][:2]
        between = (one + two) / 2
        rows, said = self.rows("--memory", between / 1024)
        self.assertEqual([size for size, _ in rows], [1])
        self.assertRegex(said, r"largest: 1 \(a batch of 2 takes 0\.\d\d GiB of memory, and 0\.\d\d GiB may be used\)")
        rows, said = self.rows("--memory", (two + 2) / 1024)
        self.assertIn(f"largest: {rows[-1][0]} (a batch of {2 * rows[-1][0]} would need about 0.", said)

    def test_the_copy_that_checkpoints_are_written_from_counts(self):
        wide = ["--set", "model.text.feed_forward=40000", "--set", "model.image.feed_forward=40000"]  # 10 MiB, three times
        peaks = [self.rows(*wide, "--set", f"trainer.checkpoint_in_background={way}")[0][0][1] for way in ("true", "false")]
        self.assertGreater(peaks[0], peaks[1] + 15)

    def test_a_model_too_large_for_the_memory_is_refused(self):
        done = self.find("--memory", 0.05)  # less than LibTorch alone takes
        self.refused(done, "not even one pair a batch fits into the memory of cpu: it takes 0.", "and 0.05 GiB may be used")

    def test_memory_belongs_to_the_search(self):
        self.assertEqual(self.train("new", "--memory", 1).returncode, 2)
        self.assertEqual(self.find("--launch", 2).returncode, 2)
        self.refused(self.find("--set", "trainer.device=cuda:7"), "cuda:7")


if __name__ == "__main__":
    unittest.main()
