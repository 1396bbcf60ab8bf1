#!/usr/bin/env python3
"""Writes data/grocery: the demo's photos, titles and lists.

Reads a copy of the Grocery Store Dataset (https://github.com/marcusklasson/GroceryStoreDataset,
its `dataset` folder) and writes small WebP photos with four JSONL lists. Only developers need this
script: its output is committed. Every choice is a hash of the photo's name, so the same input and
the same Pillow give the same bytes.

    tools/prepare_grocery.py DATASET data/grocery

Needs Python 3.9+ and Pillow with WebP; the committed files were written with the version that
data/grocery/README.md names.
"""

import argparse
import csv
import hashlib
import io
import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

try:
    import PIL
    from PIL import Image
except ImportError:
    sys.exit("prepare_grocery.py: Pillow is missing; install it with: pip install pillow")

SEED = "grocery-1"
MAX_TRAINING_PHOTOS = 29  # a class; the largest class has four times the photos of the smallest
BLOCK = 4096  # files are kept just under whole disk blocks, so that 15 MB is true on disk as well
TRAINING_SIDE, SHOWN_SIDE, CANVAS_SIDE = 160, 192, 224  # pixels of the shorter side
GUTTER = 4  # white pixels between the photos of a canvas


def draw(*key):
    """A number in [0, 1) that depends on the key alone."""
    digest = hashlib.sha256("/".join([SEED, *map(str, key)]).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Product:
    """One fine class: its names, description, iconic picture and shuffled photos."""

    def __init__(self, root, row, photos):
        self.key = row["Class Name (str)"]
        self.name = self.key.replace("-", " ")
        self.coarse = row["Coarse Class Name (str)"].replace("-", " ")
        self.iconic = root / row["Iconic Image Path (str)"].lstrip("/")
        text = (root / row["Product Description Path (str)"].lstrip("/")).read_text("utf-8")
        self.sentences = [s for s in re.split(r"(?<=[.!?])\s+(?=[A-Z0-9])", text.strip()) if s]
        self.photos = sorted(photos, key=lambda photo: draw("split", photo.stem))

    def split(self):
        """Gallery, test, validation and training photos: consecutive slices that share nothing."""
        few = len(self.photos) < 24
        ends = [4, 7, 9] if few else [5, 9, 11]
        gallery, test, validation = (self.photos[a:b] for a, b in zip([0, *ends], ends))
        training = self.photos[ends[-1] : ends[-1] + MAX_TRAINING_PHOTOS]
        return gallery, test, validation, training


def read_products(root):
    photos = {}
    for photo in sorted((root / "train").rglob("*.jpg")):
        photos.setdefault(photo.parent.name, []).append(photo)
    with open(root / "classes.csv", newline="", encoding="utf-8") as file:
        return [Product(root, row, photos[row["Class Name (str)"]]) for row in csv.DictReader(file)]


def open_photo(path):
    return Image.open(path).convert("RGB")


def shrink(image, side):
    scale = min(1.0, side / min(image.size))
    size = [max(1, round(length * scale)) for length in image.size]
    return image.resize(size, Image.Resampling.LANCZOS)


def crop_to(image, width, height, key):
    """The largest part of the image with this aspect, near its centre, at this size."""
    scale = min(image.width / width, image.height / height)
    part = (width * scale, height * scale)
    left = max(0.0, image.width - part[0]) * (0.3 + 0.4 * draw("left", key))
    top = max(0.0, image.height - part[1]) * (0.3 + 0.4 * draw("top", key))
    box = (left, top, min(left + part[0], image.width), min(top + part[1], image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box)


def tiles(count, key):
    """Rectangles (left, top, width, height) that share a square canvas, none the same twice."""
    side = CANVAS_SIDE
    first = round(side * (0.40 + 0.20 * draw("first", key)))
    second = round(side * (0.40 + 0.20 * draw("second", key)))
    rest, low = side - first - GUTTER, side - second - GUTTER
    boxes = [(0, 0, first, side), (first + GUTTER, 0, rest, side)]
    if count == 3:
        tall = (0, 0, first, side)
        boxes = [
            tall,
            (first + GUTTER, 0, rest, second),
            (first + GUTTER, second + GUTTER, rest, low),
        ]
    if draw("mirror", key) < 0.5:
        boxes = [(side - x - w, y, w, h) for x, y, w, h in boxes]
    if draw("transpose", key) < 0.5:
        boxes = [(y, x, h, w) for x, y, w, h in boxes]
    return boxes


def paste_together(paths, key):
    canvas = Image.new("RGB", (CANVAS_SIDE, CANVAS_SIDE), "white")
    for path, (left, top, width, height) in zip(paths, tiles(len(paths), key)):
        canvas.paste(crop_to(open_photo(path), width, height, f"{key}/{path.stem}"), (left, top))
    return canvas


def encode(image, blocks, best_quality):
    """WebP at the best quality that stays within so many disk blocks."""
    low, high, best = 10, best_quality, None
    while low <= high:
        quality = (low + high) // 2
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() <= blocks * BLOCK:
            low, best = quality + 1, buffer.getvalue()
        else:
            high = quality - 1
    if best is None:
        raise SystemExit("prepare_grocery.py: a photo does not fit its size limit")
    return best


def join_names(names):
    """["Apple", "Milk", "Apple"] -> "Apple and Milk"."""
    names = list(dict.fromkeys(names))
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def group_photos(pool, groups):
    """Groups of two and three photos of different classes; each photo is used about equally often."""
    uses = Counter()
    for index in range(groups):
        deck = sorted(pool, key=lambda item: (uses[item[1]], draw("deck", index, item[1].stem)))
        chosen = {}
        for product, photo in deck:
            if product.key not in chosen:
                chosen[product.key] = (product, photo)
            if len(chosen) == 2 + index % 2:
                break
        for _, photo in chosen.values():
            uses[photo] += 1
        yield list(chosen.values())


class Writer:
    """Writes photos below images/<split>/ and one JSONL list a split."""

    def __init__(self, output):
        self.output = output
        self.counts = Counter()

    def write_list(self, name, rows):
        lines = []
        for identity, image, blocks, quality, title, labels in rows:
            path = self.output / "images" / name / f"{identity}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(image, blocks, quality))
            row = {"id": identity, "image": str(path.relative_to(self.output).as_posix())}
            row.update(title=title, labels=labels)
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        (self.output / f"{name}.jsonl").write_text("".join(lines), "utf-8")
        self.counts[name] = len(lines)


def training_rows(products):
    for product in products:
        for index, photo in enumerate(product.split()[3]):
            sentence = product.sentences[index % len(product.sentences)]
            image = shrink(open_photo(photo), TRAINING_SIDE)
            yield photo.stem, image, 1, 75, f"{product.name}. {sentence}", [product.name]


def gallery_rows(products):
    for product in products:
        icon = shrink(open_photo(product.iconic), SHOWN_SIDE)
        yield product.iconic.stem, icon, 1, 85, product.name, [product.name]
        for photo in product.split()[0]:
            image = shrink(open_photo(photo), SHOWN_SIDE)
            yield photo.stem, image, 2, 80, product.name, [product.name]


def query_rows(products, part, singles):
    """`singles` one-product queries a class and as many queries with two or three products."""
    pool = [(product, photo) for product in products for photo in product.split()[part]]
    for product in products:
        for photo in product.split()[part][:singles]:
            image = shrink(open_photo(photo), SHOWN_SIDE)
            yield photo.stem, image, 2, 80, product.coarse, [product.name]
    for group in group_photos(pool, singles * len(products)):
        identity = "+".join(photo.stem for _, photo in group)
        canvas = paste_together([photo for _, photo in group], identity)
        title = join_names([product.coarse for product, _ in group])
        yield identity, canvas, 2, 80, title, [product.name for product, _ in group]


README = """# Grocery photos for the demo

A small part of the Grocery Store Dataset: photos taken with a phone in Swedish shops, {classes} products,
one clean picture ("iconic") and a description of each.

- Source: <https://github.com/marcusklasson/GroceryStoreDataset> (its training part), MIT licence, see `LICENSE`.
- Paper: Marcus Klasson, Cheng Zhang, Hedvig Kjellström, *A Hierarchical Grocery Store Image Dataset with
  Visual and Semantic Labels*, WACV 2019.
- Changes: resized, re-encoded as WebP, split anew, some pasted together, all by `tools/prepare_grocery.py DATASET
  data/grocery` with Pillow {pillow}; running it again gives the same bytes.

| list | rows | photo | title |
| --- | --- | --- | --- |
| `train.jsonl` | {train} | one product | its fine name and a sentence of its description |
| `gallery.jsonl` | {gallery} | one product, or its iconic picture | its fine name |
| `queries.jsonl` | {queries} | half one product, half two or three on one canvas | the coarse names only, so that the photo must decide |
| `validation_queries.jsonl` | {validation_queries} | as `queries.jsonl` | as `queries.jsonl` |

A row is `{{"id", "image", "title", "labels"}}`; `image` is relative to the list, `labels` are fine names. An id is the
original file name without its ending; a canvas names its photos, joined by `+`. Training, gallery, test and
validation use different photos, but the photographers often took several of one shelf within a minute, so a query can
resemble a training photo closely. Within the test (and within the validation) queries a photo may stand alone in one
query and on a canvas in another. Training labels are there for inspection; the objectives never read them. Both kinds
of queries are asked against the same gallery, and only the validation queries may be used for tuning.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", type=Path, help="the dataset folder that holds classes.csv")
    parser.add_argument("output", type=Path, help="folder to write, for example data/grocery")
    arguments = parser.parse_args()
    if not (arguments.dataset / "classes.csv").is_file():
        sys.exit(f"prepare_grocery.py: {arguments.dataset} holds no classes.csv; give the dataset's folder")
    products = read_products(arguments.dataset)
    shutil.rmtree(arguments.output / "images", ignore_errors=True)
    writer = Writer(arguments.output)
    writer.write_list("train", training_rows(products))
    writer.write_list("gallery", gallery_rows(products))
    writer.write_list("queries", query_rows(products, 1, 2))
    writer.write_list("validation_queries", query_rows(products, 2, 1))
    shutil.copyfile(arguments.dataset / "LICENSE", arguments.output / "LICENSE")
    readme = README.format(classes=len(products), pillow=PIL.__version__, **writer.counts)
    (arguments.output / "README.md").write_text(readme, "utf-8")
    print(", ".join(f"{name}: {count} rows" for name, count in writer.counts.items()))


if __name__ == "__main__":
    main()
