"""capture_search, as a user runs it: questions from the command line and from standard input, answers as text, JSON and
a page, and what it says when something is missing."""
import concurrent.futures
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unicodedata
import unittest

from small_model import small_config

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
PHOTOS = pathlib.Path(os.environ["CAPTURE_SOURCE"]) / "data" / "grocery"
CONFIG = small_config(log_interval=100)
# Titles of which some are wide on a terminal, and labels that say more.
SPECIAL = {0: ("红苹果 一箱 十二个装", "apples"), 3: ("Crème fraîche", "dairy"), 5: ("ﾊﾞﾅﾅ 🍌", "fruit")}


def run(program, *arguments, **options):
    command = [str(BIN / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def must(*command):
    done = run(*command)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr}")
    return done.stdout


def rows_of(name, count):
    rows = [json.loads(line) for line in (PHOTOS / f"{name}.jsonl").read_text().splitlines()]
    rows = rows[:: max(1, len(rows) // count)][:count]
    return [dict(row, image=str(PHOTOS / row["image"])) for row in rows]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def columns(text):
    """The columns that a text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


class Search(unittest.TestCase):
    """One run and one gallery for all tests, laid out as the demo lays them out: they only read them."""

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.home = pathlib.Path(holder.name) / "demo"
        cls.home.mkdir()
        cls.gallery = rows_of("gallery", 30)
        for i, (title, label) in SPECIAL.items():
            cls.gallery[i].update(title=title, labels=[label])
        cls.queries = rows_of("queries", 12)
        wanted = {label for query in cls.queries for label in query["labels"]}
        have = {label for row in cls.gallery for label in row["labels"]}
        ids = {row["id"] for row in cls.gallery}
        more = [row for row in rows_of("gallery", 1000) if (wanted - have) & set(row["labels"]) and row["id"] not in ids]
        cls.gallery += {row["labels"][0]: row for row in more}.values()
        for name, rows in {"train": rows_of("train", 30), "gallery": cls.gallery, "queries": cls.queries}.items():
            write_rows(cls.home / f"{name}.jsonl", rows)
            scaling = ["--fit-scaling"] if name == "train" else ["--scaling", cls.home / "train/scaling.safetensors"]
            must("capture_data", "import-images", "--list", cls.home / f"{name}.jsonl", "--output", cls.home / name,
                 "--feature-width", 16, *scaling)
        config = dict(CONFIG, tokenizer=cls.tokenizer(),
                      data={"train": [str(cls.home / "train")], "validation": [str(cls.home / "queries")]})
        (cls.home / "tiny.json").write_text(json.dumps(config))
        must("capture_train", "--config", cls.home / "tiny.json", "--output", cls.home / "run")
        cls.photo = cls.queries[0]["image"]

    @classmethod
    def tokenizer(cls):
        # AddressSanitizer cannot keep sentencepiece's protobuf apart from OpenCV's (src/text/sentencepiece.cpp).
        if os.environ.get("CAPTURE_SANITIZE") == "ON":
            titles = (json.loads(line)["title"] for line in (cls.home / "train.jsonl").read_text().splitlines())
            words = sorted({word for title in titles for word in re.findall(r"[a-z]+", title.lower())})
            vocabulary = cls.home / "vocab.txt"
            vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
            cls.tokenizer_option = ["--vocab", vocabulary]
            return {"type": "wordpiece", "file": str(vocabulary)}
        pieces = cls.home / "titles.model"
        must("capture_tokenizer", "train", "--titles", cls.home / "train.jsonl", "--vocabulary-size", 60, "--output", pieces)
        cls.tokenizer_option = ["--tokenizer", pieces]
        return {"type": "sentencepiece", "file": str(pieces)}

    def search(self, *arguments, code=0, **options):
        done = run("capture_search", "--run", self.home, "--threads", 1, *arguments, **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def answers(self, *arguments, **options):
        return [json.loads(line) for line in self.search("--json", *arguments, **options).stdout.splitlines()]

    def refused(self, *arguments, naming, **options):
        done = self.search(*arguments, code=1, **options)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        for text in naming:
            self.assertIn(text, done.stderr)

    def test_a_photo_is_answered_with_a_table(self):
        lines = self.search("--photo", self.photo, "--top", 1000).stdout.splitlines()
        self.assertEqual(lines[0], f"{pathlib.Path(self.photo).name}: photo against photos and titles")
        self.assertEqual(lines[1].split(), ["#", "score", "label", "title", "id"])
        self.assertEqual([int(line.split()[0]) for line in lines[2:]], list(range(1, len(self.gallery) + 1)))
        scores = [float(line.split()[1]) for line in lines[2:]]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertTrue(0 < scores[0] <= 1.001, scores)
        self.assertEqual({line.split()[-1] for line in lines[2:]}, {row["id"] for row in self.gallery})

    def test_answers_are_those_of_capture_eval(self):
        cases = {"pre.sum": ["id", "image", "title"], "pre.image-to-sum": ["id", "image"]}
        for recipe, keys in cases.items():
            output = self.home.parent / "eval" / recipe
            must("capture_eval", "--run", self.home / "run", "--gallery", self.home / "gallery", "--queries",
                 self.home / "queries", "--recipe", recipe, "--protocol", "product1m_official", "--no-report",
                 "--threads", 1, "--output", output)
            questions = self.home.parent / "questions.jsonl"
            write_rows(questions, [{key: query[key] for key in keys} for query in self.queries])
            answers = self.answers("--questions", questions, "--top", 1000)
            self.assertEqual({answer["recipe"] for answer in answers}, {recipe})
            expected = (output / "retrieval_id_list.txt").read_text().splitlines()
            found = [",".join([answer["id"], *(result["id"] for result in answer["results"])]) for answer in answers]
            self.assertEqual(found, expected)

    def test_json_says_what_was_asked_and_found(self):
        answer, = self.answers("--photo", self.photo, "--title", "red apple", "--top", 3, "--recipe", "post.concat")
        self.assertEqual(list(answer), ["photo", "title", "recipe", "results"])
        self.assertEqual((answer["photo"], answer["title"], answer["recipe"]), (self.photo, "red apple", "post.concat"))
        self.assertEqual([result["rank"] for result in answer["results"]], [1, 2, 3])
        for result in answer["results"]:
            row, = [row for row in self.gallery if row["id"] == result["id"]]
            self.assertEqual((result["title"], result["labels"]), (row["title"], row["labels"]))
        long = "x" * 300
        done = self.search("--title", long, "--top", 1)
        self.assertLess(columns(done.stdout.splitlines()[0]), 150)

    def test_standard_input_holds_titles_and_objects(self):
        lines = ["red apple", "", json.dumps({"photo": self.photo, "id": "mine"}), "  {\"title\": \"milk\"}  ",
                 json.dumps({"image": self.photo, "title": ["pear", "other"], "labels": ["p"]})]
        answers = self.answers("--top", 2, input="\n".join(lines))
        self.assertEqual([answer["id"] for answer in answers], ["1", "mine", "4", "5"])
        self.assertEqual([answer["recipe"] for answer in answers],
                         ["pre.text-to-sum", "pre.image-to-sum", "pre.text-to-sum", "pre.sum"])
        self.assertEqual(answers[3]["title"], "pear")
        alone = self.answers("--top", 2, "--photo", self.photo)
        self.assertEqual(answers[1]["results"], alone[0]["results"])
        text = self.search("--top", 2, input="\n".join(lines)).stdout
        self.assertEqual(text.count("\n\n"), 3)
        self.assertIn("“pear”: photo and title against photos and titles", text)

    def test_a_bad_line_is_named_and_the_others_are_answered(self):
        broken = self.home.parent / "broken.jpg"
        broken.write_bytes(pathlib.Path(self.photo).read_bytes()[:300])
        lines = ["red apple", "{\"photo\": \"nowhere.jpg\"}", json.dumps({"photo": str(broken)}), "{\"phto\": \"a\"}",
                 "{\"id\": \"x\"}", "{\"title\": 3}", "{not json", "{\"photo\": \"a\", \"image\": \"b\"}", "milk"]
        done = self.search("--json", "--top", 1, code=1, input="\n".join(lines))
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(["error" in answer for answer in answers], [False] + 7 * [True] + [False])
        for answer, text in zip(answers[1:8], ["nowhere.jpg", "broken.jpg", "did you mean \"photo\"", "neither",
                                               "\"title\" is 3", "not valid JSON", "both name"]):
            self.assertIn(text, answer["error"])
        self.assertIn("7 of 9 questions could not be answered", done.stderr)
        self.assertIn("standard input:2", done.stderr)
        self.search("--top", 1, code=1, input=b"\xff\xfe title".decode("latin-1"), encoding="latin-1")

    def test_every_question_is_answered_before_the_next_is_asked(self):
        command = [BIN / "capture_search", "--run", self.home, "--json", "--top", "1", "--threads", "1"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as process:
            watchdog = threading.Timer(60, process.kill)
            watchdog.start()
            for title in ("apple", "milk"):
                process.stdin.write(title + "\n\n")
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["title"], title)
            process.stdin.close()
            self.assertEqual(process.wait(), 0)
            watchdog.cancel()

    def test_columns_line_up_whatever_the_script(self):
        lines = self.search("--title", "apple", "--top", 1000).stdout.splitlines()[1:]
        wide = [line for line in lines if "红苹果" in line or "ﾊﾞﾅﾅ" in line]
        self.assertEqual(len(wide), 2)
        starts = {columns(line[:line.rindex(line.split()[-1])]) for line in lines}
        self.assertEqual(len(starts), 1, lines)

    def test_a_table_fits_its_terminal(self):
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 48, 0, 0))
        process = subprocess.Popen([BIN / "capture_search", "--run", self.home, "--title", "apple", "--top", "1000"],
                                   stdout=follower, stderr=subprocess.PIPE)
        os.close(follower)
        text = b""
        try:
            while part := os.read(leader, 65536):
                text += part
        except OSError:
            pass  # what Linux says once the other end is closed
        os.close(leader)
        self.assertEqual(process.wait(timeout=60), 0, process.stderr.read())
        process.stderr.close()
        lines = text.decode().splitlines()[1:]
        self.assertEqual(max(columns(line) for line in lines), 48)
        self.assertIn("…", text.decode())

    def test_a_page_is_written_and_opened(self):
        desktop = self.home.parent / "desktop"
        desktop.mkdir()
        opened = desktop / "opened"
        (desktop / "xdg-open").write_text(f"#!/bin/sh\necho \"$@\" > {opened}.part && mv {opened}.part {opened}\n")
        (desktop / "xdg-open").chmod(0o755)
        environment = dict(os.environ, PATH=f"{desktop}:{os.environ['PATH']}", BROWSER="yes")
        self.addCleanup((self.home / "run/search.html").unlink)
        self.search("--photo", self.photo, "--top", 3, "--open-report", env=environment)
        page = self.home / "run/search.html"
        for _ in range(200):
            if opened.exists():
                break
            time.sleep(0.05)
        self.assertEqual(opened.read_text().strip(), str(page))
        text = page.read_text()
        self.assertEqual(text.count("<img"), 4)
        self.assertIn("photo against photos and titles (pre.image-to-sum)", text)

    def test_without_a_desktop_the_page_is_named(self):
        page = self.home.parent / "new.html"
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
        done = self.search("--title", "apple", "--report", page, "--open-report", env=environment)
        self.assertIn(f"open {page}", done.stderr)
        self.assertTrue(page.exists())
        done = self.search("--title", "apple", "--report", "/proc/page.html", code=1)
        self.assertIn("/proc/page.html", done.stderr)
        self.assertIn("“apple”", done.stdout)

    def test_timing_says_what_took_how_long(self):
        done = self.search("--title", "apple", "--timing")
        self.assertRegex(done.stderr, r"ready after \d+ ms: model \d+ ms, embeddings of \d+ gallery items \d+ ms")
        self.assertRegex(done.stderr, r"1 question in [\d.]+ ms: photo [\d.]+, model [\d.]+, search [\d.]+")

    def test_photos_are_seen_as_the_gallery_was_or_not_at_all(self):
        alone = self.home.parent / "alone" / "gallery"
        alone.parent.mkdir(exist_ok=True)
        shutil.copytree(self.home / "gallery", alone, ignore=shutil.ignore_patterns("scaling.safetensors"))
        model = next((self.home / "run/checkpoints").glob("step_*")) / "model.safetensors"

        def ask(*options, code=0):
            done = run("capture_search", "--model", model, *self.tokenizer_option, "--gallery", alone, "--no-cache",
                       "--threads", 1, "--json", *options)
            self.assertEqual(done.returncode, code, done.stderr)
            return json.loads(done.stdout) if code == 0 else done.stderr

        ask("--title", "apple")
        lost = ask("--photo", self.photo, code=1)
        self.assertIn("\"scaling.safetensors\"", lost)
        self.assertIn("--scaling FILE", lost)
        scaling = self.home / "train/scaling.safetensors"
        given = ask("--photo", self.photo, "--scaling", scaling)
        must("capture_data", "import-images", "--list", self.home / "queries.jsonl", "--output", alone.parent / "other",
             "--feature-width", 16, "--fit-scaling")
        self.assertIn("near it", ask("--photo", self.photo, code=1))
        wrong = ask("--photo", self.photo, "--scaling", alone.parent / "other/scaling.safetensors", code=1)
        self.assertIn("is not what the gallery was made with", wrong)
        self.assertIn("come from no backbone", ask("--photo", self.photo, "--backbone", scaling, code=1))
        shutil.copytree(self.home / "train", alone.parent / "train")
        self.assertEqual(ask("--photo", self.photo), given)

    def test_a_gallery_without_photos_says_so(self):
        synth = self.home.parent / "synth"
        must("capture_data", "synth", "--output", synth, "--train", 10, "--gallery", 10, "--queries", 4,
             "--products", 4, "--feature-width", 16)
        self.refused("--gallery", synth / "gallery", "--photo", self.photo,
                     naming=["does not say how regions were found", "--vision FILE"])

    def test_bad_questions_are_refused(self):
        cases = [(["--photo", "nowhere.jpg"], ["nowhere.jpg", "No such file"]),
                 (["--photo", self.home / "tiny.json"], ["tiny.json"]),
                 (["--photo", self.home], ["demo"]),
                 (["--title", " \u3000"], ["--title", "empty"]),
                 (["--photo", ""], ["--photo", "names no file"]),
                 (["--title", "apple", "--recipe", "pre.image-to-text"], ["pre.image-to-text", "photo"]),
                 (["--photo", self.photo, "--recipe", "post.text"], ["post.text", "title"]),
                 (["--photo", self.photo, "--recipe", "pre.sun"], ["did you mean pre.sum"])]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for _ in pool.map(lambda case: self.refused(*case[0], naming=case[1]), cases):
                pass

    def test_bad_models_and_galleries_are_refused(self):
        def refused(*arguments, naming):
            done = run("capture_search", *arguments, "--title", "apple")
            self.assertEqual(done.returncode, 1, done.stderr)
            for text in naming:
                self.assertIn(text, done.stderr)
        gallery = ["--gallery", self.home / "gallery"]
        refused("--run", self.home / "nowhere", *gallery, naming=["nowhere", "config.resolved.json"])
        refused("--run", self.home, "--gallery", self.home / "nowhere", naming=["nowhere"])
        refused("--run", self.home, *gallery, self.home / "gallery", naming=["stands twice"])

    def test_usage(self):
        cases = [[], ["--run", self.home.parent], ["--run", self.home, "--title", "a", "--questions", "b"],
                 ["--run", self.home, "--model", "m"]]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in pool.map(lambda case: run("capture_search", *case, stdin=subprocess.DEVNULL), cases):
                self.assertEqual(done.returncode, 2, done.stderr)


if __name__ == "__main__":
    unittest.main()
