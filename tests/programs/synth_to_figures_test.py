"""From nothing to figures: a synthetic world, a model trained on it, and what it finds."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
SOURCE = pathlib.Path(os.environ["CAPTURE_SOURCE"])
WORLD = {"train": 3000, "gallery": 400, "queries": 60, "products": 40, "regions": 6, "feature-width": 64,
         "vocabulary-size": 300, "seed": 7}
MODEL = {"model.width": 32, "model.projection_width": 32, "model.text.feed_forward": 64, "model.image.feed_forward": 64,
         "model.cross.width": 32, "model.initializer_range": 0.12, "loader.batch_size": 32,
         "optimizer.learning_rate": 4e-3, "trainer.steps": 400}


class EndToEnd(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="capture_synth_"))
        self.addCleanup(shutil.rmtree, self.folder)

    def must(self, program, *arguments):
        done = subprocess.run([BIN / program, *map(str, arguments)], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_model_trained_on_a_synthetic_world_finds_its_products(self):
        world, trained_run, output = (self.folder / name for name in ("world", "run", "eval"))
        self.must("capture_data", "synth", "--output", world,
                  *[text for name, value in WORLD.items() for text in (f"--{name}", value)])
        settings = {**MODEL, "tokenizer.file": world / "vocab.txt", "data.train": json.dumps([str(world / "train")])}
        self.must("capture_train", "--config", SOURCE / "configs/synth.json", "--output", trained_run,
                  *[text for key, value in settings.items() for text in ("--set", f"{key}={value}")])
        self.must("capture_eval", "--run", trained_run, "--gallery", world / "gallery",
                  "--queries", world / "queries", "--recipe", "pre.sum", "--baselines", "--at", 10, "--threads", 1,
                  "--output", output)
        systems = json.loads((output / "metrics.json").read_text())["systems"]
        found = {name: figures["all"]["strict"]["top10"]["mAP"] for name, figures in systems.items()}
        trained = next(value for name, value in found.items() if name.startswith("pretrained"))
        self.assertGreater(trained, found["untrained model"] + 0.1, found)
        self.assertGreater(trained, found["raw region features"] + 0.05, found)
        self.assertGreater(found["raw region features"], found["chance"] + 0.1, found)


if __name__ == "__main__":
    unittest.main()
