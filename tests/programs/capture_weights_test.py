"""capture_weights and convert_checkpoint.py as a user runs them."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
SOURCE = pathlib.Path(os.environ["CAPTURE_SOURCE"])
GOLDEN = SOURCE / "tests" / "golden"
UNUSED = ("q_dense", "cross_encoder.pooler")


def run(*arguments, program=None):
    command = [str(BIN / "capture_weights")] if program is None else [sys.executable, str(program)]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=600)


def read(path):
    """name -> (dtype, shape, bytes), and the metadata."""
    data = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    start = 8 + length
    return {name: (e["dtype"], e["shape"], data[start + e["data_offsets"][0]:start + e["data_offsets"][1]])
            for name, e in header.items()}, metadata


def write(path, tensors):
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


class CaptureWeights(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.folder = pathlib.Path(self.scratch.name)
        self.official = GOLDEN / "official_batch" / "model.safetensors"
        self.config = GOLDEN / "official_batch" / "official_config.json"
        self.model = self.folder / "model.safetensors"

    def import_model(self, source=None):
        return run("import", source or self.official, self.model, "--official-config", self.config)

    def expect_refused(self, result, *parts):
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)
        self.assertFalse(self.model.exists())

    def expect_same_where_used(self, exported, original):
        self.assertEqual(set(exported), set(original))
        for name, (dtype, shape, data) in exported.items():
            self.assertEqual((dtype, shape), original[name][:2], name)
            unused = any(part in name for part in UNUSED)
            self.assertEqual(data, bytes(len(data)) if unused else original[name][2], name)

    def test_import_then_export_gives_the_same_bytes(self):
        self.assertEqual(self.import_model().returncode, 0)
        back = self.folder / "back.safetensors"
        self.assertEqual(run("export", self.model, back).returncode, 0)
        self.expect_same_where_used(read(back)[0], read(self.official)[0])
        again = self.folder / "again.safetensors"
        run("export", self.model, again)
        self.assertEqual(back.read_bytes(), again.read_bytes())

    def test_bin_files_come_in_through_the_converter(self):
        binary = GOLDEN / "official_padded" / "pytorch_model.bin"
        self.expect_refused(self.import_model(binary), "tools/convert_checkpoint.py", "pytorch_model.bin")
        converted = self.folder / "converted.safetensors"
        result = run(binary, converted, program=SOURCE / "tools" / "convert_checkpoint.py")
        if "torch cannot be imported" in result.stderr:
            self.skipTest("this LibTorch comes without its Python package")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(read(converted)[0], read(GOLDEN / "official_padded" / "model.safetensors")[0])
        self.assertEqual(self.import_model(converted).returncode, 0)

    def test_the_converter_refuses_what_is_no_checkpoint(self):
        text = self.folder / "text.bin"
        text.write_text("no pickle")
        for source in (text, self.folder / "missing.bin"):
            result = run(source, self.folder / "x.safetensors", program=SOURCE / "tools" / "convert_checkpoint.py")
            self.assertEqual(result.returncode, 1)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)

    def test_bert_starts_the_text_side(self):
        official, _ = read(self.official)
        bert = {}
        for name, value in official.items():
            if name.startswith(("bert.embeddings.", "bert.encoder.layer.")):
                name = name[5:].replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
                bert[name] = value
        write(self.folder / "bert.safetensors", bert)
        result = run("import", self.folder / "bert.safetensors", self.model, "--from", "bert", "--official-config",
                     self.config)
        self.assertEqual(result.returncode, 0, result.stderr)
        tensors, metadata = read(self.model)
        self.assertEqual(tensors["text_embedding.word.weight"], official["bert.embeddings.word_embeddings.weight"])
        names = json.loads(metadata["from_bert"])
        self.assertTrue(names and all(name.startswith(("text_embedding.", "text_stream.")) for name in names), names)

    def test_sizes_come_from_a_configuration_of_ours(self):
        sizes = {"width": 48, "projection_width": 32, "vocabulary_size": 211, "feature_width": 20, "text_positions": 64,
                 "text": {"layers": 2, "heads": 4, "feed_forward": 96}, "image": {"layers": 2, "heads": 3, "feed_forward": 40},
                 "cross": {"layers": 2, "heads": 4, "width": 32},
                 "co_transformer": {"layers": 3, "heads": 4, "positions": 64}}
        config = self.folder / "config.json"
        config.write_text(json.dumps({"model": sizes, "some_other_section": {"x": 1}}))
        self.assertEqual(run("import", self.official, self.model, "--config", config).returncode, 0)
        metadata = read(self.model)[1]
        self.assertEqual(json.loads(metadata["capture.model"])["image"]["heads"], 3)
        self.model.unlink()
        self.expect_refused(run("import", self.official, self.model, "--config", config, "--set", "model.width=36"),
                            "of another shape", "bert.embeddings.word_embeddings.weight")
        self.expect_refused(run("import", self.official, self.model, "--config", config, "--set", "model.wdith=40"),
                            "wdith", "width")

    def test_inspect_prints_every_tensor_and_the_totals(self):
        self.import_model()
        result = run("inspect", self.model)
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"text_stream\.0\.qkv\.weight +F32 +6912 +\[144,48\]")
        self.assertRegex(result.stdout, r"\d+ tensors, \d+ numbers, \d+ bytes")
        self.assertIn("the published format counts", result.stdout)
        self.assertEqual(run("inspect", self.official).returncode, 0)

    def test_bad_files_are_refused_in_one_sentence(self):
        whole = self.official.read_bytes()
        broken = self.folder / "broken.safetensors"
        for content in (b"", whole[:100], whole[:-7], b"\xff" * 64, whole[:8] + b"[" + whole[9:]):
            broken.write_bytes(content)
            self.expect_refused(self.import_model(broken), "broken.safetensors")
        self.expect_refused(self.import_model(self.folder / "missing.safetensors"), "missing.safetensors", "check the path")
        self.expect_refused(self.import_model(self.folder), "folder")
        result = run("export", self.official, self.folder / "out.safetensors")
        self.assertEqual(result.returncode, 1)
        self.assertIn("holds no model options", result.stderr)

    def test_usage_errors_exit_with_two(self):
        for arguments in ((), ("import",), ("import", "a", "b", "--from", "gpt"), ("frobnicate",)):
            self.assertEqual(run(*arguments).returncode, 2, arguments)
        self.assertEqual(run("--help").returncode, 0)
        self.assertIn("capture_weights", run("--version").stdout)


if __name__ == "__main__":
    unittest.main()
