#!/usr/bin/env python3
"""What stored precision costs: feature error of float16 and int8 against float32, and the demo's loss with each.

    benchmarks/precision.py build/release/bin [--epochs 10] [--seeds 1 2 3] [--folder DIR]

The photos of data/grocery are imported once, in float32, and converted. The error of a region is the length of the
difference over the length of the feature. Then the demo is trained from each precision with the same seeds; what tells
is the difference between precisions beside the difference between seeds. Prints a table.
"""
import argparse
import json
import math
import pathlib
import shutil
import statistics
import struct
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PRECISIONS = ("float32", "float16", "int8")


def align(offset):
    return (offset + 63) // 64 * 64


def features(folder, step):
    """The region features of every `step`-th sample's first view, as docs/shards.md says how to read them."""
    for path in sorted(folder.glob("*.capshard")):
        with open(path, "rb") as file:
            (length,) = struct.unpack("<8xQ", file.read(16))
            file.seek(32)
            header = json.loads(file.read(length))
            layout = header["layout"]
            kind, width, slots = layout["feature_type"], layout["feature_width"], layout["max_regions"] * layout["max_views"]
            scales_at = align(32 + 16 * layout["max_views"] + 16 * slots)
            features_at = align(scales_at + 4 * slots) if kind == "int8" else scales_at
            assert layout["class_count"] == 0
            for index in range(0, header["samples"], step):
                file.seek(header["records_at"] + index * header["record_bytes"])
                record = file.read(header["record_bytes"])
                (count,) = struct.unpack_from("<I", record, 32 + 8)
                code = {"float32": "f", "float16": "e", "int8": "b"}[kind]
                values = struct.unpack_from(f"<{count * width}{code}", record, features_at)
                scales = struct.unpack_from(f"<{count}f", record, scales_at) if kind == "int8" else [1] * count
                for region in range(count):
                    yield [x * scales[region] for x in values[region * width : (region + 1) * width]]


def errors(exact, rounded, step=20):
    for x, y in zip(features(exact, step), features(rounded, step)):
        size = math.dist(x, [0] * len(x))
        if size > 0:
            yield math.dist(x, y) / size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--folder", type=pathlib.Path, help="keep everything here, and use what is there")
    arguments = parser.parse_args()
    folder = arguments.folder or pathlib.Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)

    def run(program, *words):
        command = [arguments.bin / program, *map(str, words)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    photos = ROOT / "data/grocery"
    if not (folder / "titles.model").exists():
        run("capture_tokenizer", "train", "--titles", photos / "train.jsonl", "--vocabulary-size", 680, "--output", folder / "titles.model")
    for part, words in (("train", ["--fit-scaling", "--views", 1]), ("validation_queries", ["--scaling", folder / "train_float32/scaling.safetensors"])):
        exact = folder / f"{part}_float32"
        if not exact.exists():
            run("capture_data", "import-images", "--config", ROOT / "configs/demo_vision.json", "--list", photos / f"{part}.jsonl",
                "--feature-type", "float32", "--output", exact, *words)
        for kind in PRECISIONS[1:]:
            run("capture_data", "convert", exact, "--feature-type", kind, "--output", folder / f"{part}_{kind}")

    def last_validation(kind, seed):
        run_folder = folder / f"run_{kind}_{seed}"
        if not run_folder.exists():
            run("capture_train", "--config", ROOT / "configs/demo.json", "--output", run_folder,
                "--set", f"trainer.epochs={arguments.epochs}", "--set", f"trainer.seed={seed}", "--set", f"loader.seed={seed}",
                "--set", f"tokenizer.file={folder}/titles.model", "--set", "trainer.validation_interval=26",
                "--set", f'data.train=["{folder}/train_{kind}"]', "--set", f'data.validation=["{folder}/validation_queries_{kind}"]')
        lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
        return [line["validation"]["loss"] for line in lines if "validation" in line][-1]

    print(f"{'':9}{'bytes':>8}{'mean error':>12}{'largest':>10}{'loss after ' + str(arguments.epochs) + ' epochs, by seed':>34}{'against float32':>18}")
    exact_losses = None
    for kind in PRECISIONS:
        size = sum(file.stat().st_size for file in (folder / f"train_{kind}").glob("*.capshard"))
        found = list(errors(folder / "train_float32", folder / f"train_{kind}"))
        losses = [last_validation(kind, seed) for seed in arguments.seeds]
        exact_losses = exact_losses or losses
        difference = statistics.mean(a - b for a, b in zip(losses, exact_losses))
        print(f"{kind:9}{size / 1e6:6.0f} M{100 * statistics.mean(found):11.4f}%{100 * max(found):9.4f}%"
              f"{'  '.join(f'{loss:.4f}' for loss in losses):>34}{difference:+18.4f}", flush=True)
    if not arguments.folder:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
