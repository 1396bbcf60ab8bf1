"""capture_bench load, as a user runs it: what it prints, that it leaves nothing behind, and what it refuses."""
import json
import os
import pathlib
import resource
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
SMALL = ["--samples", "40", "--feature-width", "64", "--regions", "4", "--batch", "8", "--seconds", "0"]


MODEL = {"width": 16, "projection_width": 8, "vocabulary_size": 50, "feature_width": 10,
         "text": {"layers": 1, "heads": 2, "feed_forward": 16}, "image": {"layers": 1, "heads": 2, "feed_forward": 16},
         "cross": {"layers": 1, "heads": 2, "width": 8}, "co_transformer": {"layers": 1, "heads": 2}}


class Model(unittest.TestCase):
    def start(self, *arguments, batch=3, model=MODEL, **options):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "small.json"
            config.write_text(json.dumps({"model": model}))
            command = [BIN / "capture_bench", *arguments, "--config", config, "--batch", str(batch), "--steps", "2"]
            return subprocess.run(command, capture_output=True, text=True, **options)

    def run_bench(self, *arguments):
        done = self.start(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @unittest.skipIf(os.environ.get("CAPTURE_SANITIZE") == "ON", "AddressSanitizer needs all of the address space")
    def test_memory_that_runs_out_is_no_bug_of_ours(self):
        limit = 4 << 30
        done = self.start("embed", "--threads", "1", batch=16384, model={**MODEL, "feature_width": 2048},  # 5 GB
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        self.assertEqual(done.stderr, "capture_bench: out of memory; use a smaller batch or model, or a machine with more "
                                      "memory\n")
        self.assertEqual(done.returncode, 1)

    def test_takes_packed_and_padded_batches(self):
        for part, key in (("train", "losses"), ("embed", "checksum")):
            extra = ["--lengths", "product1m"]
            packed, padded = (json.loads(self.run_bench(part, *extra, *more)) for more in ([], ["--padded"]))
            self.assertEqual((packed["batches"], padded["batches"]), ("packed", "padded"))
            self.assertGreater(packed["samples_per_s"], 0)
            if part == "embed":
                self.assertAlmostEqual(packed[key], padded[key], 3)

    def test_the_batch_is_the_same_on_every_machine(self):
        # As many words as that some lie behind BERT's special ones.
        done = self.start("embed", "--lengths", "product1m", model={**MODEL, "vocabulary_size": 700})
        holds = json.loads(done.stdout)["holds"]
        # What PyTorch draws with torch.Generator().manual_seed(42); features are of functions that round as they may.
        self.assertEqual({key: holds[key] for key in ("tokens", "masked_tokens", "masked_regions", "token_ids")},
                         {"tokens": 61, "masked_tokens": 8, "masked_regions": 15, "token_ids": 34041})

    def test_says_where_the_time_goes(self):
        table = self.run_bench("train", "--breakdown")
        for work in ("| products, ", "| optimiser |", "| attention |", "| all |", "ceiling: "):
            self.assertIn(work, table)


class Load(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_load(self, *arguments, expect=0):
        command = [BIN / "capture_bench", "load", "--scratch", self.folder, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, expect, done.stderr)
        return json.loads(done.stdout) if expect == 0 else done.stderr

    def test_prints_one_line_beside_memcpy(self):
        for extra in ([], ["--half"], ["--packed"], ["--workers", "0"], ["--feature-type", "int8"]):
            line = self.run_load(*SMALL, *extra)
            self.assertEqual(line["bench"], "load")
            self.assertEqual(line["samples"], 40)
            for key in ("samples_per_s", "gb_per_s", "memcpy_gb_per_s", "share_of_memcpy", "anonymous_memory_mib"):
                self.assertGreater(line[key], 0, key)
            self.assertEqual(list(self.folder.iterdir()), [])

    def test_buckets_and_packing_leave_less_padding(self):
        plain = self.run_load(*SMALL)["padding_share"]
        self.assertLess(self.run_load(*SMALL, "--bucket", "5")["padding_share"], plain)
        self.assertEqual(self.run_load(*SMALL, "--packed")["padding_share"], 0)

    def test_reads_cold_beside_the_disk(self):
        line = self.run_load(*SMALL, "--cold")
        self.assertEqual(line["bench"], "load cold")
        self.assertEqual(line["epochs"], 1)
        self.assertGreater(line["sequential_read_gb_per_s"], 0)

    def test_traces_decode_copy_and_compute(self):
        self.run_load(*SMALL, "--compute", "8", "--trace", self.folder / "trace.json")
        events = json.loads((self.folder / "trace.json").read_text())["traceEvents"]
        names = {event["name"] for event in events}
        self.assertLessEqual({"thread_name", "read ahead", "decode", "copy", "wait", "compute"}, names)
        threads = {event["args"]["name"]: event["tid"] for event in events if event["ph"] == "M"}
        self.assertEqual(set(threads), {"main", "loader 0", "loader 1"})
        for event in events:
            if event["ph"] == "X":
                self.assertEqual(event["name"] in ("wait", "compute"), event["tid"] == threads["main"], event["name"])

    def test_names_what_is_missing(self):
        self.assertIn("nothing_here", self.run_load("--data", self.folder / "nothing_here", expect=1))
        self.assertIn("--workers", self.run_load("--workers", "many", expect=2))

    def test_help_has_an_example(self):
        text = subprocess.run([BIN / "capture_bench", "load", "--help"], capture_output=True, text=True, check=True).stdout
        self.assertIn("Example: capture_bench load", text)


class Search(unittest.TestCase):
    def test_finds_the_same_in_float32_and_bfloat16_and_saves_it(self):
        found = []
        for dtype in ("fp32", "bf16"):
            with tempfile.TemporaryDirectory() as folder:
                command = [BIN / "capture_bench", "search", "--queries", "30", "--gallery", "500", "--width", "33",
                           "--depth", "7", "--rounds", "1", "--dtype", dtype, "--save", folder]
                done = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)
                line = json.loads(done.stdout)
                self.assertEqual((line["bench"], line["dtype"], line["depth"]), ("search", dtype, 7))
                self.assertGreater(line["queries_per_s"], 0)
                files = {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}
                self.assertEqual({name: len(bytes_) for name, bytes_ in files.items()},
                                 {"gallery.f32": 500 * 33 * 4, "queries.f32": 30 * 33 * 4, "items.i32": 30 * 7 * 4,
                                  "scores.f32": 30 * 7 * 4})
                found.append(files)
        self.assertEqual(*found)


class Checkpoint(unittest.TestCase):
    def test_says_what_a_checkpoint_costs_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "config.json"
            layers = {"layers": 1, "heads": 2}
            config.write_text(json.dumps({"model": {"width": 16, "vocabulary_size": 200, "feature_width": 16, **{
                part: layers for part in ("text", "image", "cross", "co_transformer")}}}))
            scratch = pathlib.Path(folder) / "scratch"
            scratch.mkdir()
            for way in ([], ["--foreground"]):
                command = [BIN / "capture_bench", "checkpoint", "--config", config, "--batch", "2", "--interval", "20",
                           "--checkpoints", "3", "--threads", "1", "--folder", scratch, *way]
                done = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)
                line = json.loads(done.stdout)
                self.assertEqual((line["bench"], line["impl"]), ("checkpoint", "foreground" if way else "background"))
                self.assertGreater(line["wait_seconds"], 0)
                self.assertGreaterEqual(line["write_seconds"], line["wait_seconds"])
                self.assertGreater(line["prepare_seconds"], 0)
                self.assertGreaterEqual(line["most_cost_in_steps"], max(line["first_cost_in_steps"], line["mean_cost_in_steps"]))
                self.assertAlmostEqual(line["seconds_between_for_2_percent"], line["cost_seconds"] * 50)
                self.assertEqual(list(scratch.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
