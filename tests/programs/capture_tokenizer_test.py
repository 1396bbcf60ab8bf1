"""capture_tokenizer as a user runs it: ids, pieces, training, inspection, and what it says to bad input."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = os.path.join(os.environ["CAPTURE_BIN"], "capture_tokenizer")
DATA = pathlib.Path(os.environ["CAPTURE_SOURCE"]) / "tests/text/wordpiece"
VOCAB = str(DATA / "vocab.txt")


def run(*arguments, stdin=b"", **options):
    return subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, timeout=300, **options)


class TokenizerProgram(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def done(self, result):
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout

    def refused(self, result, *words, code=1):
        """Exit code `code`, nothing on standard output, and one sentence that holds the words."""
        text = result.stderr.decode()
        self.assertEqual(result.returncode, code, text)
        self.assertEqual(result.stdout, b"")
        if code == 1:
            self.assertEqual(text.count("\n"), 1, text)
        for word in words:
            self.assertIn(word, text)

    def encode(self, text, *arguments):
        return self.done(run("encode", "--type", "wordpiece", "--vocab", VOCAB, *arguments, stdin=text)).decode()

    def test_ids_are_those_of_the_reference(self):
        for name in ("titles", "hostile"):
            ids = self.encode((DATA / f"{name}.txt").read_bytes(), "--ids")
            self.assertEqual(ids, (DATA / f"{name}.ids").read_text())

    def test_options_are_those_of_the_reference(self):
        hostile = (DATA / "hostile.txt").read_bytes()
        for name, options in (("cased", ["--cased"]), ("accents", ["--strip-accents", "no"]),
                              ("cased_stripped", ["--cased", "--strip-accents", "yes"]),
                              ("no_cjk_spacing", ["--no-cjk-spacing"])):
            self.assertEqual(self.encode(hostile, "--ids", *options), (DATA / f"hostile.{name}.ids").read_text())

    def test_every_line_gives_a_line(self):
        self.assertEqual(self.encode(b"", "--ids"), "")
        self.assertEqual(self.encode(b"\n", "--ids"), "2 3\n")
        self.assertEqual(self.encode(b"\n\r\n \n", "--ids"), "2 3\n" * 3)
        self.assertEqual(self.encode("水\n\n水".encode(), "--ids"), self.encode("水\n\n水\n".encode(), "--ids"))
        self.assertEqual(self.encode(b"\xff\xfe\n", "--ids"), "2 3\n")

    def test_pieces_and_cuts(self):
        pieces = self.encode("AHC 水 zzyzx".encode()).split()
        self.assertEqual((pieces[0], pieces[-1]), ("[CLS]", "[SEP]"))
        self.assertIn("水", pieces)
        cut = self.encode("AHC 水 zzyzx".encode(), "--max-tokens", "3").split()
        self.assertEqual(cut, [*pieces[:2], "[SEP]"])

    def test_an_answer_comes_before_the_next_question(self):
        with subprocess.Popen([PROGRAM, "encode", "--vocab", VOCAB, "--ids"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as program:
            for _ in range(3):
                program.stdin.write("水\n".encode())
                program.stdin.flush()
                self.assertTrue(program.stdout.readline().startswith(b"2 "))
            program.stdin.close()
            self.assertEqual(program.wait(60), 0)

    def test_a_full_disk_is_said(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([PROGRAM, "encode", "--vocab", VOCAB], input=b"a\n", stdout=full,
                                    stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"standard output", result.stderr)

    def test_a_vocabulary_is_trained_and_used(self):
        titles = (DATA / "titles.txt").read_text().splitlines()[:500]
        text = self.folder / "titles.txt"
        text.write_text("\n".join(titles))
        lines = self.folder / "titles.jsonl"
        lines.write_text("\n".join(json.dumps({"id": str(i), "title": title}) for i, title in enumerate(titles)))
        published = self.folder / "list.txt"
        published.write_text("\n".join(f"{i}#####{title}#####u#####m#####a#;#b" for i, title in enumerate(titles)))
        models = []
        for source in (text, lines, published):
            output = self.folder / (source.name + ".model")
            self.done(run("train", "--titles", source, "--vocabulary-size", "1000", "--output", output))
            models.append(output.read_bytes())
        self.assertEqual(models[0], models[1])
        self.assertEqual(models[0], models[2])
        model = self.folder / "titles.txt.model"
        ids = self.done(run("encode", "--type", "sentencepiece", "--vocab", model, "--ids", stdin=text.read_bytes()))
        rows = [list(map(int, line.split())) for line in ids.decode().splitlines()]
        self.assertEqual(len(rows), len(titles))
        for row in rows:
            self.assertEqual((row[0], row[-1]), (2, 3))
            self.assertTrue(all(id == 1 or 4 < id < 1000 for id in row[1:-1]), row)

    def test_inspect_tells_size_specials_and_coverage(self):
        titles = str(DATA / "titles.txt")
        facts = json.loads(self.done(run("inspect", "--vocab", VOCAB, "--titles", titles, "--json")))
        self.assertEqual(facts["vocabulary_size"], len((DATA / "vocab.txt").read_text().split("\n")) - 1)
        self.assertEqual(facts["specials"], {"pad": 0, "unknown": 1, "cls": 2, "sep": 3, "mask": 4})
        rows = [list(map(int, line.split())) for line in (DATA / "titles.ids").read_text().splitlines()]
        self.assertEqual(facts["titles"], len(rows))
        self.assertEqual(facts["tokens"], sum(len(row) - 2 for row in rows))
        self.assertEqual(facts["unknown_share"], sum(row.count(1) for row in rows) / facts["tokens"])
        lengths = [len(row) for row in rows]
        self.assertEqual([lengths.count(i) for i in range(max(lengths) + 1)], facts["lengths"][:max(lengths) + 1])
        self.assertEqual(facts["length_quantiles"][-1], {"share": 1.0, "length": max(lengths)})
        page = self.done(run("inspect", "--vocab", VOCAB, "--titles", titles)).decode()
        for word in ("vocabulary size", "[MASK]", "unknown tokens", "tokens a title", "█"):
            self.assertIn(word, page)

    def test_bad_input_gives_one_sentence(self):
        (self.folder / "no_mask.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
        (self.folder / "twice.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\na\n")
        (self.folder / "noise").write_bytes(bytes(range(256)) * 10)
        (self.folder / "empty.txt").write_text("")
        self.refused(run("encode", "--vocab", self.folder / "none.txt"), "none.txt", "No such file")
        self.refused(run("encode", "--vocab", self.folder), "is a folder")
        self.refused(run("encode", "--vocab", self.folder / "no_mask.txt"), "no piece [MASK]")
        self.refused(run("encode", "--vocab", self.folder / "twice.txt"), "twice.txt:7", "line 6")
        self.refused(run("encode", "--vocab", self.folder / "noise"), "noise", "binary")
        self.refused(run("encode", "--type", "sentencepiece", "--vocab", self.folder / "noise"), "noise", "damaged")
        self.refused(run("inspect", "--vocab", VOCAB, "--titles", self.folder / "none.txt"), "none.txt")
        output = self.folder / "out.model"
        self.refused(run("train", "--titles", self.folder / "empty.txt", "--output", output), "no title")
        self.refused(run("train", "--titles", DATA / "titles.txt", "--vocabulary-size", "90000", "--output", output),
                     "90000", "<=")
        self.refused(run("train", "--titles", DATA / "titles.txt", "--output", "/proc/none/out.model"), "/proc/none")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()),
                         ["empty.txt", "no_mask.txt", "noise", "twice.txt"], "nothing half-written")

    def test_wrong_usage_exits_with_2(self):
        self.refused(run(), "subcommand", code=2)
        self.refused(run("encode"), "--vocab", code=2)
        self.refused(run("encode", "--vocab", VOCAB, "--type", "bpe"), "--type", code=2)
        self.refused(run("encode", "--vocab", VOCAB, "--max-tokens", "1"), "--max-tokens", code=2)
        self.refused(run("train", "--titles", "t", "--output", "o", "--character-coverage", "0.5"), code=2)

    def test_help_shows_an_example(self):
        for command in ("train", "encode", "inspect"):
            page = self.done(run(command, "--help")).decode()
            self.assertIn(f"Example: capture_tokenizer {command}", page)
        self.assertIn(b"capture_tokenizer", self.done(run("--version")))


if __name__ == "__main__":
    unittest.main()
