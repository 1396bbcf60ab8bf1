"""capture_data import-images as a user runs it: what comes in, what is rejected and why, and what is left behind."""
import json
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
import zlib

PROGRAM = pathlib.Path(os.environ["CAPTURE_BIN"]) / "capture_data"
SOURCE = pathlib.Path(os.environ["CAPTURE_SOURCE"])
GROCERY = SOURCE / "data/grocery"
ODD = SOURCE / "tests/vision/images"


def png(width, height, colour):
    """A PNG of one colour."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def few_bytes():
    """What a full disk looks like to the program: no file may grow past 100 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


class ImportImages(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="capture_import_"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.output = self.folder / "out"

    def run_import(self, *arguments, **options):
        return subprocess.run(
            [PROGRAM, "import-images", *map(str, arguments)], capture_output=True, text=True, timeout=300, **options
        )

    def grocery_list(self, rows, copies=1):
        lines = (GROCERY / "train.jsonl").read_text().splitlines()[:rows]
        path = self.folder / "list.jsonl"
        with path.open("w") as file:
            for copy in range(copies):
                for line in lines:
                    row = json.loads(line)
                    row["image"] = str(GROCERY / row["image"])
                    row["id"] += f"-{copy}"
                    file.write(json.dumps(row) + "\n")
        return path

    def plain_list(self, count=4):
        """A CSV of small pictures beside it."""
        lines = ["image,title,labels"]
        for i in range(count):
            (self.folder / f"{i}.png").write_bytes(png(20 + i, 30, (40 * i, 90, 200)))
            lines.append(f'{i}.png,"Product {i}, blue",blue|{i}')
        path = self.folder / "list.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    def must(self, *arguments):
        result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def inspect(self, sample):
        return json.loads(self.must("inspect", self.output, "--sample", sample, "--json").stdout)

    def rejects(self):
        path = self.folder / "out.rejects.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def assert_fails(self, result, *words, code=1):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def assert_nothing_left(self):
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith("out")], [])

    def test_makes_a_dataset_that_verify_accepts(self):
        result = self.run_import("--list", self.plain_list(), "--output", self.output)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("4 photos", result.stdout)
        self.assertEqual(sorted(os.listdir(self.output)), ["00000.capshard", "index.json", "source.json"])
        verify = subprocess.run([PROGRAM, "verify", self.output], capture_output=True, text=True)
        self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)
        sample = self.inspect(2)["sample"]
        self.assertEqual(sample["id"], "2.png")
        self.assertEqual(sample["titles"], ["Product 2, blue"])
        self.assertEqual(sample["labels"], ["blue", "2"])

    def test_gives_the_same_bytes_whatever_the_workers(self):
        photos = self.grocery_list(12)
        shards = []
        for workers in (1, 2, 5):
            result = self.run_import(
                *("--list", photos, "--output", self.output, "--workers", workers, "--force"),
                *("--views", 2, "--fit-scaling", "--feature-width", 64, "--shard-samples", 10),
            )
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("12 photos, 30.0 regions each of width 64, 3 views", result.stdout)
            files = {path.name: path.read_bytes() for path in self.output.iterdir()}
            self.assertEqual(sorted(files), ["00000.capshard", "00001.capshard", "index.json", "scaling.safetensors",
                                             "source.json"])
            shards.append(files)
        self.assertEqual(shards[0], shards[1])
        self.assertEqual(shards[0], shards[2])

    def test_scales_as_another_import_fitted(self):
        photos = self.grocery_list(6)
        self.assertEqual(self.run_import("--list", photos, "--output", self.output, "--fit-scaling").returncode, 0)
        train = (self.output / "00000.capshard").read_bytes()
        other = self.folder / "other"
        scaling = self.output / "scaling.safetensors"
        result = self.run_import("--list", photos, "--output", other, "--scaling", scaling)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((other / "00000.capshard").read_bytes(), train)
        self.assertEqual((other / "scaling.safetensors").read_bytes(), scaling.read_bytes())
        refused = self.run_import("--list", photos, "--output", other, "--scaling", scaling, "--fit-scaling")
        self.assert_fails(refused, "--fit-scaling", "contradicts")

    def test_names_every_photo_that_cannot_be_used(self):
        good = png(8, 8, (1, 2, 3))
        (self.folder / "good.png").write_bytes(good)
        (self.folder / "cut.png").write_bytes(good[:-20])
        (self.folder / "empty.jpg").write_bytes(b"")
        (self.folder / "text.jpg").write_text("not a picture")
        (self.folder / "folder.jpg").mkdir()
        (self.folder / "loop.jpg").symlink_to("loop.jpg")
        os.mkfifo(self.folder / "pipe.jpg")
        huge = bytearray(good)
        huge[16:24] = struct.pack(">II", 50000, 50000)
        (self.folder / "huge.png").write_bytes(huge)
        shutil.copy(ODD / "animated.gif", self.folder)
        shutil.copy(ODD / "animated.webp", self.folder)
        shutil.copy(ODD / "cmyk.jpg", self.folder)
        names = ["good.png", "cut.png", "empty.jpg", "text.jpg", "folder.jpg", "loop.jpg", "pipe.jpg", "huge.png"]
        names += ["animated.gif", "animated.webp", "cmyk.jpg", "missing.jpg"]
        rows = ["image,title,id"] + [f"{name},A title,{name}" for name in names] + ["good.png,,x", "good.png,Two,good.png"]
        photos = self.folder / "list.csv"
        photos.write_text("\r\n".join(rows))
        result = self.run_import("--list", photos, "--output", self.output)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("2 photos", result.stdout)
        self.assertIn("12 rows were rejected", result.stdout)
        reasons = {row["line"]: (row["image"], row["reason"]) for row in self.rejects()}
        expected = {
            3: ("cut.png", "cut off"),
            4: ("empty.jpg", "empty"),
            5: ("text.jpg", "not a picture"),
            6: ("folder.jpg", "is a folder"),
            7: ("loop.jpg", "symbolic links"),
            8: ("pipe.jpg", "not a regular file"),
            9: ("huge.png", "50000 x 50000"),
            10: ("animated.gif", "is a GIF"),
            11: ("animated.webp", "animated WebP"),
            13: ("missing.jpg", "No such file"),
            14: ("good.png", "the title is empty"),
            15: ("good.png", "stands on line 2 too"),
        }
        self.assertEqual(sorted(reasons), sorted(expected))
        for line, (image, words) in expected.items():
            self.assertEqual(reasons[line][0], image)
            self.assertIn(words, reasons[line][1])

    def test_stops_at_the_allowed_number_of_rejects(self):
        photos = self.plain_list()
        (self.folder / "1.png").write_bytes(b"")
        (self.folder / "3.png").unlink()
        allowed = self.run_import("--list", photos, "--output", self.output, "--max-rejects", 2)
        self.assertEqual(allowed.returncode, 0, allowed.stderr)
        shutil.rmtree(self.output)
        result = self.run_import("--list", photos, "--output", self.output, "--max-rejects", 1)
        self.assert_fails(result, "2 rows were rejected", "line 5", "at most 1 (--max-rejects)", "out.rejects.jsonl")
        self.assertEqual(len(self.rejects()), 2)
        self.assertFalse(self.output.exists())

    def test_forgets_the_rejects_of_an_earlier_import(self):
        photos = self.plain_list()
        good = (self.folder / "1.png").read_bytes()
        (self.folder / "1.png").write_bytes(b"")
        self.run_import("--list", photos, "--output", self.output)
        self.assertEqual(len(self.rejects()), 1)
        (self.folder / "1.png").write_bytes(good)
        self.run_import("--list", photos, "--output", self.output, "--force")
        self.assertIn("4 photos", self.run_import("--list", photos, "--output", self.output).stdout)
        self.assertFalse((self.folder / "out.rejects.jsonl").exists())

    def test_says_so_when_no_photo_can_be_used(self):
        photos = self.plain_list()
        for path in self.folder.glob("*.png"):
            path.write_bytes(b"GIF89a")
        for arguments in ([], ["--fit-scaling"]):
            result = self.run_import("--list", photos, "--output", self.output, *arguments)
            self.assert_fails(result, "none of the 4 photos", "is a GIF")
            self.assertFalse(self.output.exists())

    def test_replaces_a_dataset_only_when_told(self):
        photos = self.plain_list()
        self.assertEqual(self.run_import("--list", photos, "--output", self.output).returncode, 0)
        before = (self.output / "00000.capshard").read_bytes()
        result = self.run_import("--list", photos, "--output", self.output, "--max-regions", 40)
        self.assert_fails(result, "from another source or with other options", "--force")
        self.assertEqual((self.output / "00000.capshard").read_bytes(), before)
        again = self.run_import("--list", photos, "--output", f"{self.output}/", "--feature-width", 8, "--force")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertNotEqual((self.output / "00000.capshard").read_bytes(), before)
        self.assertEqual(sorted(path.name for path in self.folder.glob("out*")), ["out"])

    def test_never_deletes_what_it_did_not_write(self):
        self.output.mkdir()
        (self.output / "thesis.txt").write_text("years of work")
        result = self.run_import("--list", self.plain_list(), "--output", self.output, "--force")
        self.assert_fails(result, "thesis.txt", "--force will not delete it")
        self.assertTrue((self.output / "thesis.txt").exists())

    def files(self, folder):
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def start_and_signal(self, number, shards, *arguments):
        """Starts an import and signals it when its index names so many shards and more."""
        command = [PROGRAM, "import-images", *map(str, arguments), "--output", self.output, "--workers", "2"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        index = self.output / "index.json"
        while process.poll() is None and (not index.exists() or len(json.loads(index.read_text())["shards"]) < shards):
            time.sleep(0.002)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    def test_goes_on_where_it_was_stopped_and_gives_the_same_bytes(self):
        photos = self.grocery_list(12, copies=3)
        lines = photos.read_text().splitlines()
        for bad in (3, 17, 30):
            lines.insert(bad, json.dumps({"image": f"missing{bad}.jpg", "title": "none", "id": f"missing{bad}"}))
        photos.write_text("\n".join(lines))
        arguments = ("--list", photos, "--fit-scaling", "--shard-samples", 4)
        whole = self.folder / "whole"
        result = self.run_import(*arguments, "--output", whole)
        self.assertEqual(result.returncode, 0, result.stderr)
        for shards, number in ((1, signal.SIGKILL), (3, signal.SIGKILL), (6, signal.SIGINT)):
            code, errors = self.start_and_signal(number, shards, *arguments)
            if number == signal.SIGKILL:
                self.assertEqual(code, -signal.SIGKILL, errors)
            else:
                self.assertEqual(code, 1, errors)
                self.assertIn("interrupted", errors)
                self.assertIn("the same command again goes on", errors)
            # What is there can be read, and nobody else's import goes on in it.
            self.assertGreaterEqual(json.loads(self.must("inspect", self.output, "--json").stdout)["samples"], 4)
            self.assert_fails(self.run_import(*arguments, "--output", self.output, "--fit-photos", 9), "other options")
        kept = (self.output / "00000.capshard").stat().st_mtime_ns
        result = self.run_import(*arguments, "--output", self.output)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("36 photos", result.stdout)
        self.assertIn("before the interruption", result.stdout)
        self.assertEqual((self.output / "00000.capshard").stat().st_mtime_ns, kept)
        self.assertEqual(self.files(whole), self.files(self.output))
        self.assertEqual([row["line"] for row in self.rejects()], [4, 18, 31])
        again = self.run_import(*arguments, "--output", self.output)
        self.assertIn("was imported before, 36 photos", again.stdout)

    def test_leaves_nothing_behind_when_interrupted_before_the_first_shard(self):
        photos = self.grocery_list(400, copies=20)
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen(
                [PROGRAM, "import-images", "--list", photos, "--output", self.output], stderr=subprocess.PIPE, text=True
            )
            while not list(self.folder.glob("out/*.part-*")) and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(number)
            _, errors = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 1, errors)
            self.assertIn("interrupted", errors)
            self.assert_nothing_left()

    def test_a_full_disk_is_told_and_leaves_nothing(self):
        photos = self.grocery_list(20)
        result = self.run_import("--list", photos, "--output", self.output, preexec_fn=few_bytes)
        self.assert_fails(result, "cannot write the file", "00000.capshard")
        self.assert_nothing_left()

    def test_reads_options_from_file_setting_and_flag(self):
        config = self.folder / "vision.json"
        config.write_text('{"features": {"width": 16}, "proposals": {"max_regions": 50}}  // small')
        photos = self.plain_list()
        arguments = ("--list", photos, "--output", self.output, "--config", config)
        result = self.run_import(*arguments, "--feature-width", 32, "--set", "thumbnail.longest_side=0")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("of width 32", result.stdout)
        self.assertIn("features.width", self.run_import("--help-config").stdout)
        self.assert_fails(self.run_import(*arguments, "--force", "--set", "features.wdth=3"), "wdth", "width")
        self.assert_fails(self.run_import(*arguments, "--force", "--max-regions", 5), "max_regions is 5")

    def test_refuses_what_cannot_be_a_list(self):
        missing = self.run_import("--list", self.folder / "none.csv", "--output", self.output)
        self.assert_fails(missing, "none.csv", "No such file")
        wrong = self.folder / "wrong.csv"
        wrong.write_text("picture,name\na.jpg,b\n")
        self.assert_fails(self.run_import("--list", wrong, "--output", self.output), 'no column "image"', "wrong.csv:1")
        self.assertEqual(self.run_import("--output", self.output).returncode, 2)
        self.assertEqual(self.run_import("--list", wrong).returncode, 2)
        self.assertEqual(self.run_import("--list", wrong, "--output", self.output, "--workers", 0).returncode, 2)
        self.assert_nothing_left()

    def test_refuses_a_backbone_that_is_none(self):
        photos = self.plain_list()
        arguments = ("--list", photos, "--output", self.output, "--set", "image.longest_side=512")
        self.assert_fails(self.run_import(*arguments, "--backbone", photos), "list.csv", "not a TorchScript file")
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
