"""capture_data synth as a user runs it."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
SMALL = {"train": 320, "gallery": 60, "queries": 30, "products": 12, "regions": 6, "feature-width": 32,
         "vocabulary-size": 300, "seed": 7}


def arguments_of(options):
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def run(program, *arguments):
    return subprocess.run([BIN / program, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class SynthCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="capture_synth_"))
        self.addCleanup(shutil.rmtree, self.folder)

    def must(self, program, *arguments):
        done = run(program, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def synth(self, name, *more, **options):
        return self.must("capture_data", "synth", "--output", self.folder / name, *arguments_of({**SMALL, **options}), *more)

    def refused(self, *arguments, code=1):
        done = run("capture_data", "synth", *arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr


class Worlds(SynthCase):
    def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(self):
        said = self.synth("one", "--workers", 1, "--shard-samples", 100).stdout
        self.assertIn("320 training pairs, a gallery of 60 and 30 queries of 12 products", said)
        self.synth("three", "--workers", 3, "--shard-samples", 100)
        one = files_of(self.folder / "one")
        self.assertEqual(one, files_of(self.folder / "three"))
        self.assertEqual(len([name for name in one if name.startswith("train/") and name.endswith(".capshard")]), 4)
        self.synth("other", "--shard-samples", 100, seed=8)
        self.assertNotEqual(one["train/00000.capshard"], files_of(self.folder / "other")["train/00000.capshard"])

    def test_what_it_writes_is_in_order(self):
        for feature_type in ("float16", "float32", "int8"):
            world = self.folder / feature_type
            self.synth(feature_type, "--feature-type", feature_type, train=40)
            self.must("capture_data", "verify", world / "train", world / "gallery", world / "queries")
        shown = json.loads(self.must("capture_data", "inspect", world / "queries", "--sample", 3, "--json").stdout)
        self.assertEqual(shown["samples"], 30)
        self.assertGreater(len(shown["sample"]["labels"]), 0)

    def test_a_run_that_is_killed_goes_on_and_gives_the_same_bytes(self):
        big = {"train": 3000, "feature-width": 512}
        self.synth("whole", "--shard-samples", 200, **big)
        command = [BIN / "capture_data", "synth", "--output", self.folder / "killed",
                   *arguments_of({**SMALL, **big, "shard-samples": 200})]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (self.folder / "killed/train/00001.capshard").exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = self.folder / "killed/train/00000.capshard"
        written = kept.stat().st_mtime_ns
        self.synth("killed", "--shard-samples", 200, **big)
        self.assertEqual(kept.stat().st_mtime_ns, written)
        self.assertEqual(files_of(self.folder / "whole"), files_of(self.folder / "killed"))

    def test_refuses_what_cannot_be(self):
        self.synth("here", train=20)
        before = files_of(self.folder / "here")
        self.assertIn("were made before", self.synth("here", train=20).stdout)

        def refused(code=1, **options):
            changed = {**SMALL, "train": 20, **{name.replace("_", "-"): value for name, value in options.items()}}
            return self.refused("--output", self.folder / "here", *arguments_of(changed), code=code)

        self.assertIn("from another source or with other options", refused(seed=8))
        self.assertIn("is of another world", refused(vocabulary_size=301))
        self.assertEqual(before, files_of(self.folder / "here"))
        self.assertIn("60 gallery items cannot show 61 products", refused(products=61))
        self.assertIn("too few for 100000 products", refused(products=100000, gallery=200000))
        self.assertIn("--train", refused(code=2, train=-1))
        self.assertIn("--output is required", self.refused(code=2))
        self.synth("here", "--force", train=20, seed=8)
        self.assertNotEqual(before, files_of(self.folder / "here"))


if __name__ == "__main__":
    unittest.main()
