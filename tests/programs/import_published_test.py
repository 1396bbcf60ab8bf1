"""capture_data import-tsv, import-lmdb and import-list, on files made by Python's own tools: base64, lmdb, msgpack-numpy.

Runs in the environment that `tools/setup --peers` makes, and is skipped without it.
"""
import base64
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "capture"
PEERS = CACHE / "peers/bin/python"
try:
    import lmdb
    import msgpack
    import msgpack_numpy
    import numpy as np
except ImportError:
    if PEERS.exists() and pathlib.Path(sys.prefix) != CACHE / "peers":
        os.execv(PEERS, [str(PEERS), *sys.argv])
    lmdb = None

PROGRAM = pathlib.Path(os.environ["CAPTURE_BIN"]) / "capture_data"
PUBLISHED = pathlib.Path(os.environ["CAPTURE_SOURCE"]) / "tests/data/published"
REGIONS, WIDTH = 36, 24


class Row:
    """One product photo as both files hold it."""

    def __init__(self, number, regions=REGIONS, width=WIDTH):
        draw = np.random.default_rng(number)
        self.id = f"6{number:011}"
        self.width, self.height = 800, 600 + number % 7
        self.count = regions
        corner = draw.integers(0, 300, (regions, 2))
        self.boxes = np.hstack([corner, corner + draw.integers(1, 300, (regions, 2))]).astype(np.float32)
        self.features = draw.standard_normal((regions, width)).astype(np.float32)
        self.title = f"爽肤水 number {number} 120ml"

    def tsv(self):
        boxes = base64.b64encode(np.ascontiguousarray(self.boxes)).decode()
        features = base64.b64encode(np.ascontiguousarray(self.features)).decode()
        return "\t".join(map(str, [self.id, self.width, self.height, self.count, boxes, features, self.title]))

    def packed(self):
        values = [self.features, self.boxes, self.count, self.height, self.width, self.id, self.title]
        return msgpack.packb(values, default=msgpack_numpy.encode, use_bin_type=True)


def write_tsv(path, rows, end="\n"):
    path.write_bytes("".join(row.tsv() + end for row in rows).encode())
    return path


def write_lmdb(path, rows, folder=False):
    database = lmdb.open(str(path), subdir=folder, map_size=1 << 30, lock=False)
    with database.begin(write=True) as transaction:
        names = [f"{i:08}".encode() for i in range(len(rows))]
        for name, row in zip(names, rows):
            transaction.put(name, row.packed() if isinstance(row, Row) else row)
        transaction.put(b"__keys__", msgpack.packb(names))
        transaction.put(b"__len__", msgpack.packb(len(rows)))
    database.close()
    return path


def shards(folder):
    """Every file of a finished dataset, but the note of where it came from."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "source.json"}


@unittest.skipIf(lmdb is None, "needs the Python packages of tools/setup --peers")
class ImportPublished(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="capture_published_"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.output = self.folder / "out"

    def run_import(self, *arguments, output=None, **options):
        command = [PROGRAM, *map(str, arguments), "--output", str(output or self.output)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)

    def assert_imports(self, *arguments, **options):
        result = self.run_import(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def assert_fails(self, result, *words, code=1):
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def rejects(self, output=None):
        path = pathlib.Path(f"{output or self.output}.rejects.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def inspect(self, sample, output=None):
        command = [PROGRAM, "inspect", output or self.output, "--sample", str(sample), "--json"]
        result = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)["sample"]

    def verify(self, output=None):
        result = subprocess.run([PROGRAM, "verify", output or self.output], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_both_formats_give_the_same_bytes_whatever_the_workers(self):
        rows = [Row(i) for i in range(90)]
        tsv = write_tsv(self.folder / "a.tsv", rows)
        database = write_lmdb(self.folder / "b.lmdb", rows)
        results = []
        for number, (command, source, workers) in enumerate(
            [("import-tsv", tsv, 1), ("import-lmdb", database, 1), ("import-tsv", tsv, 3), ("import-lmdb", database, 3)]
        ):
            output = self.folder / f"out{number}"
            text = self.assert_imports(command, source, "--workers", workers, "--shard-samples", 40, output=output)
            self.assertIn("90 samples of 90 rows", text)
            self.assertEqual(self.rejects(output), [])
            results.append(shards(output))
        self.assertEqual(sorted(name for name in results[0] if "capshard" in name),
                         ["00000.capshard", "00001.capshard", "00002.capshard"])
        for other in results[1:]:
            self.assertEqual(results[0], other)
        self.verify(self.folder / "out0")
        sample = self.inspect(41, self.folder / "out1")
        self.assertEqual(sample["id"], rows[41].id)
        self.assertEqual(sample["titles"], [rows[41].title])

    def test_every_bad_row_is_named_with_its_reason(self):
        def spoil(number, change=lambda row: None, **sizes):
            row = Row(number, **sizes)
            change(row)
            return row

        def put(array, place, value):
            array[place] = value

        good = Row(0).tsv()
        columns = Row(9).tsv().split("\t")
        lines = [
            good,
            "\t".join(columns[:5] + ["!" + columns[5][1:]] + columns[6:]),
            "\t".join(columns[:5] + [columns[5][:-16]] + columns[6:]),
            spoil(3, lambda row: put(row.features, (2, 5), np.nan)).tsv(),
            spoil(4, lambda row: put(row.features, (2, 5), np.inf)).tsv(),
            spoil(5, lambda row: put(row.boxes, (1, 2), 900.0)).tsv(),
            spoil(6, lambda row: setattr(row, "title", "")).tsv(),
            good,
            spoil(8, regions=35).tsv(),
            spoil(9, regions=37).tsv(),
            spoil(10, width=WIDTH + 1).tsv(),
            Row(11).tsv() + "\r",
            "",
            "\t".join(["x", *columns[1:3], "thirty-six", *columns[4:]]),
            Row(14).tsv(),
            Row(15).tsv()[:-5],
        ]
        source = self.folder / "a.tsv"
        source.write_bytes("\n".join(lines).encode())
        text = self.assert_imports("import-tsv", source)
        self.assertIn("2 samples of 16 rows", text)
        self.assertIn("14 rows were rejected", text)
        reasons = [
            (2, "are not base64: character 1 is \"!\""), (3, "feature values for 36 boxes"),
            (4, "not a number"), (5, "infinite"), (6, "region 1 has the box"), (7, "has no title"),
            (8, "added before"), (9, "has 35 boxes; allowed: 36; --min-regions"), (10, "has 37 boxes"),
            (11, "has 25 feature values a box; allowed: 24"), (12, "Windows"), (13, "has 1 column"),
            (14, "\"thirty-six\" for its number of boxes"), (16, "the file was cut off here"),
        ]
        rejects = self.rejects()
        self.assertEqual([reject["line"] for reject in rejects], [line for line, _ in reasons])
        for reject, (_, reason) in zip(rejects, reasons):
            self.assertIn(reason, reject["reason"])
        self.assertEqual(rejects[2]["id"], Row(3).id)
        self.assertEqual(rejects[-1]["id"], Row(15).id)
        self.verify()

    def test_a_database_with_the_same_bad_values_names_their_keys(self):
        wrong = [Row(i) for i in range(8)]
        wrong[1].features[3, 3] = np.nan
        wrong[2].boxes[0, 3] = 5000
        wrong[3].title = None
        wrong[4].count = 35
        wrong[5].id = wrong[0].id
        wrong[6] = wrong[6].packed()[:-40]
        database = write_lmdb(self.folder / "a.lmdb", wrong)
        self.assertIn("2 samples of 8 rows", self.assert_imports("import-lmdb", database))
        rejects = self.rejects()
        self.assertEqual([reject["key"] for reject in rejects], [f"{i:08}" for i in range(1, 7)])
        for reject, word in zip(rejects, ["not a number", "box", "no title", "35 boxes", "added before", "before its"]):
            self.assertIn(word, reject["reason"])

    def test_max_rejects_ends_the_import_and_more_lets_it_go_on(self):
        rows = [Row(i) for i in range(60)]
        for i in (10, 30, 50):
            rows[i].title = " "
        source = write_tsv(self.folder / "a.tsv", rows)
        limited = ("import-tsv", source, "--shard-samples", 8)
        stopped = self.run_import(*limited, "--max-rejects", 2)
        self.assert_fails(stopped, "3 rows were rejected", "\"line\":51", "--max-rejects")
        self.assertEqual(len(self.rejects()), 3)
        self.assertIn("before the interruption", self.assert_imports(*limited, "--max-rejects", 3))
        whole = self.folder / "whole"
        self.assert_imports(*limited, output=whole)
        self.assertEqual(shards(whole), shards(self.output))
        self.assertEqual(self.rejects(whole), self.rejects())

    def test_killed_at_any_time_it_ends_in_the_same_bytes(self):
        rows = [Row(i, width=200) for i in range(200)]
        for i in range(0, 200, 7):
            rows[i].title = ""
        tsv = write_tsv(self.folder / "a.tsv", rows)
        database = write_lmdb(self.folder / "b.lmdb", rows)
        for command, source in (("import-tsv", tsv), ("import-lmdb", database)):
            whole = self.folder / f"{command}-whole"
            arguments = (command, source, "--shard-samples", 20)
            start = time.monotonic()
            self.assert_imports(*arguments, output=whole)
            duration = time.monotonic() - start
            dice = random.Random(3)
            kills = 0
            for _ in range(5):
                process = subprocess.Popen([PROGRAM, *map(str, arguments), "--output", str(self.output)],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(dice.random() * duration)
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
            self.assertGreater(kills, 0)
            self.assert_imports(*arguments)
            self.assertEqual(shards(whole), shards(self.output))
            self.assertEqual([r["reason"] for r in self.rejects(whole)], [r["reason"] for r in self.rejects()])
            self.assertEqual(len(self.rejects()), 29)
            self.assertIn("was imported before", self.assert_imports(*arguments))
            shutil.rmtree(self.output)

    def test_another_source_does_not_go_on_in_the_same_folder(self):
        self.assert_imports("import-tsv", write_tsv(self.folder / "a.tsv", [Row(i) for i in range(9)]))
        other = write_tsv(self.folder / "a.tsv", [Row(i) for i in range(10)])
        self.assert_fails(self.run_import("import-tsv", other), "out")
        self.assertIn("10 samples", self.assert_imports("import-tsv", other, "--force"))

    def test_titles_come_from_id_info(self):
        rows = [Row(i) for i in range(6)]
        info = {row.id: {"title": f"joined {i}", "more": [1, {"title": "x"}]} for i, row in enumerate(rows)}
        del info[rows[3].id]
        info[rows[4].id]["title"] = ""
        joined = self.folder / "info.json"
        joined.write_text(json.dumps(info))
        tsv = self.folder / "a.tsv"
        tsv.write_text("".join(row.tsv().rsplit("\t", 1)[0] + "\n" for row in rows))
        self.assertIn("4 samples of 6 rows", self.assert_imports("import-tsv", tsv, "--id-info", joined))
        self.assertEqual([r["reason"] for r in self.rejects()][0], "has no title in info.json")
        self.assertEqual(self.inspect(1)["titles"], ["joined 1"])
        other = self.folder / "other"
        database = write_lmdb(self.folder / "b.lmdb", rows)
        self.assert_imports("import-lmdb", database, "--id-info", joined, output=other)
        self.assertEqual(shards(other), shards(self.output))

    def test_a_list_gives_titles_labels_and_order(self):
        listed = (PUBLISHED / "dev_list_excerpt.txt").read_text().splitlines()
        ids = [line.split("#####")[0] for line in listed]
        rows = [Row(i) for i in range(40)]
        for row, name in zip(rows[5:], reversed(ids)):
            row.id = name
        rows[4].id = rows[3].id = "twice"
        list_file = self.folder / "list.txt"
        extra = ["gone#####a title#####u#####v#####l", "twice#####a title#####u#####v#####l", "bad line",
                 listed[0], rows[30].id + "#####t#####u#####v#####", rows[31].id + "#####t#####u#####v#####b#;#a#;#b"]
        list_file.write_text("\n".join(listed + extra) + "\n")
        tsv = write_tsv(self.folder / "a.tsv", rows)
        text = self.assert_imports("import-list", list_file, "--tsv", tsv)
        self.assertIn("21 samples of 26 rows", text)
        reasons = [(21, "has no row in a.tsv"), (22, "has 2 rows in a.tsv"), (23, "1 field"), (24, "added before"),
                   (25, "has an empty label")]
        self.assertEqual([reject["line"] for reject in self.rejects()], [line for line, _ in reasons])
        for reject, (_, reason) in zip(self.rejects(), reasons):
            self.assertIn(reason, reject["reason"])
        for i in (0, 7, 19):
            sample = self.inspect(i)
            _, caption, _, _, labels = listed[i].split("#####")
            self.assertEqual((sample["id"], sample["titles"], sample["labels"]), (ids[i], [caption], labels.split("#;#")))
        self.assertEqual(self.inspect(20)["labels"], ["b", "a", "b"])
        other = self.folder / "other"
        self.assert_imports("import-list", list_file, "--lmdb", write_lmdb(self.folder / "b.lmdb", rows), output=other)
        self.assertEqual(shards(other), shards(self.output))

    def test_pyarrow_values_are_recognised(self):
        value = (PUBLISHED / "value.pyarrow").read_bytes()
        database = write_lmdb(self.folder / "a.lmdb", [value] * 3)
        self.assert_fails(self.run_import("import-lmdb", database), "written by pyarrow", "convert_pyarrow_lmdb.py")
        self.assertFalse(self.output.exists())

    def test_a_database_may_be_a_folder_that_nobody_can_write_to(self):
        database = write_lmdb(self.folder / "b", [Row(i) for i in range(3)], folder=True)
        (database / "data.mdb").chmod(0o444)
        database.chmod(0o555)
        self.assertIn("3 samples of 3 rows", self.assert_imports("import-lmdb", database))
        database.chmod(0o755)
        self.assertEqual(sorted(path.name for path in database.iterdir() if path.name != "lock.mdb"), ["data.mdb"])

    def test_a_database_that_promised_more_records_is_named(self):
        database = write_lmdb(self.folder / "b.lmdb", [Row(i) for i in range(3)])
        with lmdb.open(str(database), subdir=False, lock=False, map_size=1 << 30) as opened:
            with opened.begin(write=True) as transaction:
                transaction.put(b"__len__", msgpack.packb(7))
        result = self.run_import("import-lmdb", database)
        self.assertEqual(result.returncode, 0)
        self.assertIn("has 3 records, its __len__ says 7", result.stderr)

    def test_token_ids_are_stored_beside_titles(self):
        vocabulary = self.folder / "vocab.txt"
        vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n爽\n肤\n水\nnumber\n120\n##ml\n")
        source = write_tsv(self.folder / "a.tsv", [Row(i) for i in range(3)])
        self.assert_imports("import-tsv", source, "--tokenizer", vocabulary)
        header = (self.output / "00000.capshard").read_bytes()[32:4096].decode()
        self.assertIn('"vocabulary_size": 11', header)
        self.verify()

    def test_files_that_are_no_such_files(self):
        nothing = self.folder / "none"
        (self.folder / "empty").write_text("")
        (self.folder / "text").write_text("not a database\n" * 9999)
        self.assert_fails(self.run_import("import-tsv", nothing), "none", "No such file")
        self.assert_fails(self.run_import("import-lmdb", nothing), "none", "No such file")
        self.assert_fails(self.run_import("import-tsv", self.folder / "empty"), "is empty")
        self.assert_fails(self.run_import("import-tsv", self.folder / "text"), "none of its first rows", "1 column")
        self.assert_fails(self.run_import("import-lmdb", self.folder / "text"), "is no LMDB database")
        self.assert_fails(self.run_import("import-lmdb", self.folder), "cannot open")
        database = write_lmdb(self.folder / "a.lmdb", [Row(i) for i in range(20)])
        whole = database.read_bytes()
        for share in (0.9, 0.5, 0.1):
            database.write_bytes(whole[: int(len(whole) * share)])
            self.assert_fails(self.run_import("import-lmdb", database), "is cut short")
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith("out")], [])

    def test_a_full_disk_names_the_file_and_leaves_whole_shards(self):
        source = write_tsv(self.folder / "a.tsv", [Row(i) for i in range(100)])

        def few_bytes():
            resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

        arguments = ("import-tsv", source, "--shard-samples", 80)
        self.assert_fails(self.run_import(*arguments, preexec_fn=few_bytes), "capshard", "free some space")
        self.assert_imports(*arguments)
        self.verify()

    def test_nothing_in_a_file_steers_the_terminal(self):
        row = Row(0)
        row.id, row.title = "6\x1b[31m", "爽肤水\x1b[2J\x07 120ml"
        tsv = write_tsv(self.folder / "a.tsv", [row, row])
        products = self.folder / "list.txt"
        products.write_text(f"{row.id}#####{row.title}#####u#####v#####a\x1b[1mlabel\n")
        self.assert_imports("import-tsv", tsv)
        self.assertIn("added before", self.rejects()[0]["reason"])
        self.assert_fails(self.run_import("import-tsv", tsv, "--force", "--max-rejects", 0), "1 row was rejected")
        listed = self.folder / "listed"
        write_tsv(tsv, [row])
        self.assert_imports("import-list", products, "--tsv", tsv, output=listed)
        self.assertEqual(self.inspect(0, listed)["labels"], ["a\x1b[1mlabel"])
        for command in (["inspect", listed], ["stats", listed], ["inspect", listed, "--id", "\x1b[31m"]):
            result = subprocess.run([PROGRAM, *command], capture_output=True, text=True)
            self.assertNotRegex(result.stdout + result.stderr, "[\x1b\x07]")
            self.assertIn("120ml" if command == ["inspect", listed] else "[", result.stdout + result.stderr)

    def test_memory_does_not_grow_with_the_file(self):
        source = self.folder / "a.tsv"
        line = Row(0, width=2048).tsv()[12:] + "\n"
        with source.open("w") as file:
            for number in range(900):
                file.write(f"{number:012}" + line)
        self.assertGreater(source.stat().st_size, 350e6)
        process = subprocess.Popen([PROGRAM, "import-tsv", source, "--output", self.output, "--workers", "1"],
                                   stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        self.assertLess(used.ru_maxrss * 1024, 100e6)

    def test_help_has_an_example(self):
        for command in ("import-tsv", "import-lmdb", "import-list"):
            result = subprocess.run([PROGRAM, command, "--help"], capture_output=True, text=True)
            self.assertEqual(result.returncode, 0)
            self.assertIn("Example: capture_data " + command, result.stdout)


if __name__ == "__main__":
    unittest.main()
