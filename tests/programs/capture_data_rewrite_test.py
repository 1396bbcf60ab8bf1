"""capture_data convert, subset and stats, as a user runs them."""
import json
import os
import pathlib
import shutil
import tempfile
import unittest

from capture_data_test import INT8_SHARD, SHARD, SOURCE, read_shard, run

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "t", "##o", "##h", "##n", "k", "##r", "z", "个"]


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def succeed(self, *arguments):
        result = run(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def refuse(self, message, *arguments):
        result = run(*arguments)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(message, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def samples(self, name):
        index = json.loads((self.folder / name / "index.json").read_text())
        self.assertTrue(index["complete"])
        return [sample for shard in index["shards"] for sample in read_shard(self.folder / name / shard["file"])]

    def contents(self, name):
        return {file.name: file.read_bytes() for file in (self.folder / name).iterdir()}

    def vocabulary(self):
        path = self.folder / "vocab.txt"
        path.write_text("\n".join(VOCABULARY) + "\n")
        return path


class Convert(Folder):
    def test_goes_through_every_precision(self):
        original = list(read_shard(SHARD))
        out = self.folder
        for name, source, kind in (("full", SHARD, "float32"), ("half", out / "full", "float16"), ("int8", SHARD, "int8")):
            self.assertIn(f"3 samples as {kind}", self.succeed("convert", source, "--feature-type", kind, "--output", out / name))
            self.succeed("verify", out / name)
        self.assertEqual(self.samples("full"), original)
        self.assertEqual(self.samples("half"), original)
        for found, expected in zip(self.samples("int8"), original):
            for view, expected_view in zip(found["views"], expected["views"]):
                for feature, exact in zip(view["features"], expected_view["features"]):
                    step = max(map(abs, exact)) / 127
                    self.assertTrue(all(abs(x - y) <= 0.5001 * step for x, y in zip(feature, exact)))

    def test_does_not_round_int8_twice(self):
        self.succeed("convert", INT8_SHARD, "--output", self.folder / "out")
        self.assertEqual(self.samples("out"), list(read_shard(INT8_SHARD)))

    def test_splits_and_joins_shards(self):
        self.succeed("convert", SHARD, "--shard-samples", 1, "--output", self.folder / "split")
        self.assertEqual(len(list((self.folder / "split").glob("*.capshard"))), 3)
        self.assertEqual(self.samples("split"), list(read_shard(SHARD)))
        self.succeed("convert", self.folder / "split", "--output", self.folder / "joined")
        self.assertEqual((self.folder / "joined/00000.capshard").read_bytes(), SHARD.read_bytes())

    def test_adds_token_ids_and_takes_them_out(self):
        self.succeed("convert", SHARD, "--tokenizer", self.vocabulary(), "--output", self.folder / "ids")
        samples = self.samples("ids")
        self.assertEqual([len(s["token_ids"]) for s in samples], [len(s["titles"]) for s in samples])
        # "tohn" is four pieces, the other words of "tohn rtow ysir" are unknown.
        self.assertEqual(samples[0]["token_ids"][0], [5, 6, 7, 8, 1, 1])
        self.succeed("convert", self.folder / "ids", "--no-token-ids", "--output", self.folder / "plain")
        self.assertEqual(self.samples("plain"), list(read_shard(SHARD)))

    def test_is_done_once(self):
        arguments = ("convert", SHARD, "--output", self.folder / "out")
        self.succeed(*arguments)
        before = self.contents("out")
        self.assertIn("was written before", self.succeed(*arguments))
        self.refuse("with other options", *arguments, "--feature-type", "int8")
        self.assertEqual(self.contents("out"), before)
        self.succeed(*arguments, "--feature-type", "int8", "--force")
        self.assertNotEqual(self.contents("out"), before)

    def test_a_missing_shard_is_named(self):
        self.succeed("convert", SHARD, "--shard-samples", 1, "--output", self.folder / "out")
        (self.folder / "out/00001.capshard").unlink()
        for command in ("inspect", "verify", "stats"):
            self.refuse("00001.capshard: is missing; allowed: the shard that index.json names", command, self.folder / "out")

    def test_a_folder_that_cannot_be_written_is_named(self):
        locked = self.folder / "locked"
        locked.mkdir(mode=0o555)
        if os.access(locked, os.W_OK):  # root may write everywhere, but not here
            locked = pathlib.Path("/sys")
        result = run("convert", SHARD, "--output", locked / "out")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("cannot make the folder", result.stderr)
        self.assertIn("choose a folder that you may write to", result.stderr)


class Subset(Folder):
    def ids(self, *arguments):
        out = self.folder / f"out{len(list(self.folder.iterdir()))}"
        self.succeed("subset", SHARD, *arguments, "--output", out)
        return [sample["id"] for sample in self.samples(out.name)]

    def test_chooses_by_id_number_and_label(self):
        (self.folder / "ids.txt").write_text("item-2\r\n\nitem-0\n")
        self.assertEqual(self.ids("--ids", self.folder / "ids.txt"), ["item-0", "item-2"])
        self.assertEqual(self.ids("--first", 1), ["item-1", "item-2"])
        self.assertEqual(self.ids("--first", 1, "--last", 1), ["item-1"])
        self.assertEqual(self.ids("--label", "product 1"), ["item-0"])

    def test_draws_the_same_samples_for_the_same_seed(self):
        drawn = {seed: self.ids("--random", 2, "--seed", seed) for seed in range(1, 6)}
        for ids in drawn.values():
            self.assertEqual(ids, sorted(set(ids)))
            self.assertEqual(len(ids), 2)
        self.assertGreater(len(set(map(tuple, drawn.values()))), 1)
        self.assertEqual(self.ids("--random", 2, "--seed", 3), drawn[3])

    def test_says_what_it_cannot_choose(self):
        out = self.folder / "out"
        (self.folder / "ids.txt").write_text("item-2\nitem-7\n")
        self.refuse('1 of its 2 ids are not among the samples; the first: "item-7"', "subset", SHARD, "--ids", self.folder / "ids.txt", "--output", out)
        self.refuse("allowed: 0 to 2", "subset", SHARD, "--first", 2, "--last", 1, "--output", out)
        self.refuse("allowed: 0 to 2", "subset", SHARD, "--last", 3, "--output", out)
        self.refuse("no sample is left", "subset", SHARD, "--label", "nothing", "--output", out)
        self.refuse("allowed: at most 3", "subset", SHARD, "--random", 4, "--output", out)
        self.assertFalse(out.exists())


class Stats(Folder):
    def test_counts_what_a_reader_of_the_format_counts(self):
        samples = list(read_shard(SHARD))
        titles = [title for sample in samples for title in sample["titles"]]
        found = json.loads(self.succeed("stats", SHARD, "--json"))
        self.assertEqual(found["samples"], 3)
        self.assertEqual(found["title_characters"]["count"], len(titles))
        self.assertAlmostEqual(found["title_characters"]["mean"], sum(map(len, titles)) / len(titles))
        self.assertEqual(found["regions"]["most"], max(len(v["boxes"]) for s in samples for v in s["views"]))
        self.assertEqual(found["label_counts"], {"product 1": 1})
        self.assertIsNone(found["unknown_token_share"])
        self.assertNotIn("title_tokens", found)

    def test_counts_tokens(self):
        found = json.loads(self.succeed("stats", INT8_SHARD, "--json"))
        titles = [title for sample in read_shard(INT8_SHARD) for title in sample["titles"]]
        self.assertEqual(found["title_tokens"]["most"], max(len(title.encode()) for title in titles))
        found = json.loads(self.succeed("stats", SHARD, "--tokenizer", self.vocabulary(), "--json"))
        self.assertGreater(found["unknown_token_share"], 0.3)
        self.assertLess(found["unknown_token_share"], 1)

    def test_speaks_to_people(self):
        page = self.folder / "stats.html"
        text = self.succeed("stats", SHARD, "--tokenizer", self.vocabulary(), "--html", page)
        for words in ("3 samples", "title tokens", "unknown to the vocabulary", "1 distinct labels", "product 1"):
            self.assertIn(words, text)
        html = page.read_text()
        for words in ("What is in the dataset", "How often", "<svg", "In numbers", "mean", "product 1 (1)"):
            self.assertIn(words, html)


class Draw(Folder):
    def test_writes_the_photo_with_its_regions(self):
        photos = SOURCE / "data/grocery"
        photo = photos / json.loads((photos / "train.jsonl").read_text().splitlines()[0])["image"]
        out = self.folder / "drawn.jpg"
        self.succeed("inspect", SHARD, "--draw", out, "--image", photo)
        self.assertEqual(out.read_bytes()[:3], b"\xff\xd8\xff")

    def test_needs_a_photo(self):
        self.refuse("has no thumbnail to draw on", "inspect", SHARD, "--sample", 1, "--draw", self.folder / "a.jpg")
        self.assertEqual(run("inspect", SHARD, "--image", "a.jpg").returncode, 2)


if __name__ == "__main__":
    unittest.main()
