"""capture_data as a user runs it. The shard is read here a second time, by docs/shards.md alone."""
import json
import os
import pathlib
import resource
import shutil
import struct
import subprocess
import tempfile
import unittest

PROGRAM = pathlib.Path(os.environ["CAPTURE_BIN"]) / "capture_data"
SOURCE = pathlib.Path(os.environ["CAPTURE_SOURCE"])
SHARD = SOURCE / "tests/data/shards/version_1.capshard"
INT8_SHARD = SOURCE / "tests/data/shards/version_1_int8.capshard"


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def align(offset):
    return (offset + 63) // 64 * 64


def strings(data):
    while data:
        (length,) = struct.unpack_from("<I", data)
        yield data[4 : 4 + length]
        data = data[4 + length :]


def read_shard(path):
    """Every sample of a shard, read as docs/shards.md says."""
    data = path.read_bytes()
    magic, json_bytes, _, file_bytes = struct.unpack_from("<8sQQQ", data)
    assert magic == b"CAPSHARD" and file_bytes == len(data)
    header = json.loads(data[32 : 32 + json_bytes])
    layout = header["layout"]
    code, size, class_size = {"float16": ("e", 2, 2), "float32": ("f", 4, 4), "int8": ("b", 1, 2)}[layout["feature_type"]]
    regions, width, classes = layout["max_regions"], layout["feature_width"], layout["class_count"]
    vocabulary = layout.get("tokenizer", {}).get("vocabulary_size", 0)
    boxes_at = 32 + 16 * layout["max_views"]
    classes_at = align(boxes_at + 16 * regions * layout["max_views"])
    scales_at = align(classes_at + class_size * classes * regions * layout["max_views"])
    features_at = align(scales_at + 4 * regions * layout["max_views"]) if code == "b" else scales_at
    for index in range(header["samples"]):
        record = header["records_at"] + index * header["record_bytes"]
        offset, *lengths, title_count, view_count = struct.unpack_from("<QIIIIII", data, record)
        parts, at = [], header["blobs_at"] + offset
        for length in lengths:
            parts.append(data[at : at + length])
            at += length
        views = []
        for view in range(view_count):
            image_width, image_height, count, _ = struct.unpack_from("<IIII", data, record + 32 + 16 * view)
            slot = view * regions
            boxes = struct.unpack_from(f"<{4 * count}f", data, record + boxes_at + 16 * slot)
            at = record + features_at + size * width * slot
            features = struct.unpack_from(f"<{count * width}{code}", data, at)
            if code == "b":
                scales = struct.unpack_from(f"<{count}f", data, record + scales_at + 4 * slot)
                features = [x * scales[i // width] for i, x in enumerate(features)]
            views.append(
                {
                    "image": [image_width, image_height],
                    "boxes": [list(boxes[4 * r : 4 * r + 4]) for r in range(count)],
                    "features": [features[width * r : width * (r + 1)] for r in range(count)],
                }
            )
        titles = list(strings(parts[1]))
        token_ids = []
        if vocabulary > 0:
            packed, titles = titles[title_count:], titles[:title_count]
            code_of_id = "H" if vocabulary <= 65536 else "I"
            token_ids = [[x[0] for x in struct.iter_unpack("<" + code_of_id, ids)] for ids in packed]
        titles = [title.decode() for title in titles]
        assert len(titles) == title_count
        yield {
            "id": parts[0].decode(),
            "titles": titles,
            "token_ids": token_ids,
            "labels": [label.decode() for label in strings(parts[2])],
            "thumbnail_bytes": len(parts[3]),
            "views": views,
        }


class Inspect(unittest.TestCase):
    def test_shows_what_a_reader_of_the_format_finds(self):
        self.compare(SHARD)

    def test_shows_int8_and_token_ids(self):
        self.compare(INT8_SHARD)
        self.assertIn("token ids", run("inspect", INT8_SHARD).stdout)

    def compare(self, shard):
        for index, expected in enumerate(read_shard(shard)):
            result = run("inspect", shard, "--sample", index, "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            summary = json.loads(result.stdout)
            self.assertEqual(summary["samples"], 3)
            self.assertEqual(summary["feature_width"], 10)
            self.assertEqual(summary["shards"][0]["origin"], {"made by": "a test"})
            found = summary["sample"]
            for key in ("id", "titles", "token_ids", "labels", "thumbnail_bytes"):
                self.assertEqual(found[key], expected[key])
            self.assertEqual(len(found["views"]), len(expected["views"]))
            for view, expected_view in zip(found["views"], expected["views"]):
                self.assertEqual(view["image"], expected_view["image"])
                self.assertEqual([r["box"] for r in view["regions"]], expected_view["boxes"])
                for region, feature in zip(view["regions"], expected_view["features"]):
                    self.assertAlmostEqual(region["feature_mean"], sum(feature) / len(feature), 6)
                    self.assertAlmostEqual(region["feature_norm"], sum(x * x for x in feature) ** 0.5, 6)

    def test_speaks_to_people(self):
        result = run("inspect", SHARD, "--id", "item-2")
        self.assertEqual(result.returncode, 0, result.stderr)
        for words in ("3 samples", "10 numbers each", "item-2", "regions"):
            self.assertIn(words, result.stdout)

    def test_names_what_is_not_there(self):
        for arguments, message in (
            ((SHARD, "--sample", "3"), "there is no sample 3; allowed: 0 to 2"),
            ((SHARD, "--id", "item-9"), 'no sample has the id "item-9"'),
            (("nowhere.capshard",), "nowhere.capshard: there is no such file or folder"),
            ((SHARD.parent.parent,), "the folder holds no shard"),
            ((__file__,), "is not a shard"),
        ):
            result = run("inspect", *arguments)
            self.assertEqual(result.returncode, 1, arguments)
            self.assertIn(message, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)
            self.assertEqual(result.stdout, "")

    def test_wants_to_know_what_to_inspect(self):
        self.assertEqual(run("inspect").returncode, 2)
        self.assertEqual(run().returncode, 2)
        for word, answer in (("inspcet", 'there is no command "inspcet"; did you mean inspect?'), ("x", 'no command "x"\n')):
            result = run(word, SHARD)
            self.assertEqual(result.returncode, 2)
            self.assertIn(answer, result.stderr)
        self.assertIn("Example:", run("inspect", "--help").stdout)


class Limits(unittest.TestCase):
    def test_a_file_past_the_shells_limit_is_named_and_not_left_behind(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            photos = SOURCE / "data/grocery"
            rows = [json.loads(line) for line in (photos / "train.jsonl").read_text().splitlines()[:4]]
            rows = [{**row, "image": str(photos / row["image"])} for row in rows]
            (folder / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            result = subprocess.run(
                [PROGRAM, "import-images", "--list", folder / "list.jsonl", "--output", folder / "out"],
                capture_output=True,
                text=True,
                timeout=60,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
            )
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("cannot write the file: File too large", result.stderr)
            self.assertEqual(list(folder.glob("out/*.capshard*")), [])


class Verify(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def test_finds_a_whole_shard_in_order(self):
        result = run("verify", SHARD)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("3 samples", result.stdout)

    def test_names_the_damaged_bytes(self):
        data = bytearray(SHARD.read_bytes())
        data[5000] ^= 1
        (self.folder / "a.capshard").write_bytes(data)
        result = run("verify", self.folder)
        self.assertEqual(result.returncode, 1)
        self.assertIn("a.capshard: bytes 4096 to 5983 (samples 0 to 2, texts and thumbnails)", result.stdout)
        self.assertIn("found 1 fault in 3 samples", result.stderr)

    def test_names_ids_that_two_shards_share(self):
        shutil.copy(SHARD, self.folder / "a.capshard")
        shutil.copy(SHARD, self.folder / "b.capshard")
        result = run("verify", self.folder)
        self.assertEqual(result.returncode, 1)
        self.assertIn('b.capshard, sample 1 ("item-1"): has the id of', result.stdout)
        self.assertIn("found 3 faults in 6 samples", result.stderr)

    def test_refuses_a_file_cut_short(self):
        (self.folder / "a.capshard").write_bytes(SHARD.read_bytes()[:5000])
        result = run("verify", self.folder / "a.capshard")
        self.assertEqual(result.returncode, 1)
        self.assertIn("is cut short or damaged: it has 5000 bytes, its header says 5992", result.stderr)


if __name__ == "__main__":
    unittest.main()
