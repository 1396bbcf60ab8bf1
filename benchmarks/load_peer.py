#!/usr/bin/env python3
"""Batches as the published Python code makes them: LMDB, msgpack-numpy, numpy, and torch's DataLoader on worker processes.

  load_peer.py write FILE --samples N [--feature-width D]     an LMDB as tensorpack's LMDBSerializer writes it
  load_peer.py load FILE [--batch B] [--workers W] [--seconds S]    prints one JSON line

Each value is the published list [features, boxes, number of boxes, image height, width, id, title] with float32 arrays.
A sample is unpacked, gets its global region and its boxes as shares of the image, its title as ids (by looking up each
character, which is less work than a WordPiece tokenizer written in Python), and the masks of the recipe.
"""
import argparse
import json
import random
import time

import lmdb
import msgpack
import msgpack_numpy
import numpy as np

REGIONS, TOKENS, FIRST_IDEOGRAPH, IDEOGRAPHS = 36, 36, 0x4E00, 20902
CLS, SEP, MASK, PAD = 2, 3, 4, 0


def write(args):
    draw = np.random.default_rng(42)
    numbers = draw.random(REGIONS * args.feature_width + (1 << 20), dtype=np.float32) * 4
    size = args.samples * (REGIONS * args.feature_width * 4 + 8192) + (1 << 26)
    database = lmdb.open(args.file, subdir=False, map_size=size, meminit=False, map_async=True)
    keys = [b"%08d" % i for i in range(args.samples)]
    for first in range(0, args.samples, 256):
        with database.begin(write=True) as transaction:
            for i, key in enumerate(keys[first:first + 256], first):
                start = int(draw.integers(0, 1 << 20))
                features = numbers[start:start + REGIONS * args.feature_width].reshape(REGIONS, -1)
                corner = draw.integers(0, 400, (REGIONS, 2))
                boxes = np.concatenate([corner, corner + 1 + draw.integers(0, 400, (REGIONS, 2))], 1).astype(np.float32)
                letters = draw.integers(0, IDEOGRAPHS, int(draw.integers(3, 35)))
                title = "".join(chr(FIRST_IDEOGRAPH + letter) for letter in letters)
                value = [features, boxes, REGIONS, 800, 800, str(i), title]
                transaction.put(key, msgpack.packb(value, default=msgpack_numpy.encode, use_bin_type=True))
    with database.begin(write=True) as transaction:
        transaction.put(b"__keys__", msgpack.packb(keys, use_bin_type=True))
        transaction.put(b"__len__", msgpack.packb(args.samples))
    database.sync()
    database.close()


class Pairs:
    """What torch.utils.data.DataLoader calls a map-style dataset."""

    def __init__(self, file):
        self.file = file
        self.database = None  # opened in each worker: an environment does not survive a fork
        database = lmdb.open(file, subdir=False, readonly=True, lock=False)
        with database.begin() as transaction:
            self.keys = msgpack.unpackb(transaction.get(b"__keys__"))
        database.close()
        self.ids = {chr(FIRST_IDEOGRAPH + i): 5 + i for i in range(IDEOGRAPHS)}

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, index):
        if self.database is None:
            self.database = lmdb.open(self.file, subdir=False, readonly=True, lock=False, readahead=False, meminit=False)
        with self.database.begin(buffers=True) as transaction:
            value = transaction.get(self.keys[index])
            features, boxes, count, height, width, _, title = msgpack.unpackb(value, object_hook=msgpack_numpy.decode)
        return (*self.text(title), *self.regions(features, boxes, count, height, width))

    def text(self, title):
        ids = [CLS] + [self.ids.get(letter, 1) for letter in title][:TOKENS - 2] + [SEP]
        labels = [-1] * TOKENS
        for i in range(1, len(ids) - 1):
            if random.random() >= 0.15:
                continue
            labels[i] = ids[i]
            action = random.random()
            if action < 0.9:
                ids[i] = MASK if action < 0.8 else random.randrange(len(self.ids))
        mask = [1] * len(ids) + [0] * (TOKENS - len(ids))
        return np.array(ids + [PAD] * (TOKENS - len(ids))), np.array(mask), np.array(labels)

    @staticmethod
    def regions(features, boxes, count, height, width):
        place = np.zeros((1 + REGIONS, 5), np.float32)
        place[0] = (0, 0, 1, 1, 1)
        place[1:1 + count, :4] = boxes
        place[1:, 4] = (place[1:, 3] - place[1:, 1]) * (place[1:, 2] - place[1:, 0]) / (width * height)
        place[1:, [0, 2]] /= width
        place[1:, [1, 3]] /= height
        target = np.zeros((REGIONS, features.shape[1]), np.float32)
        target[:count] = features
        masked = target.copy()
        labels = np.full(REGIONS, -1)
        for i in range(count):
            if random.random() < 0.15:
                labels[i] = 1
                if random.random() < 0.9:
                    masked[i] = 0
        whole = masked.sum(0) / count
        mask = np.array([1] * (1 + count) + [0] * (REGIONS - count))
        return np.concatenate([whole[None], masked]), target, place, labels, mask


def load(args):
    import torch.utils.data

    loader = torch.utils.data.DataLoader(Pairs(args.file), batch_size=args.batch, shuffle=True, num_workers=args.workers,
                                         persistent_workers=args.workers > 0)

    def epoch():
        start = time.perf_counter()
        samples = sum(len(batch[0]) for batch in loader)
        return samples, time.perf_counter() - start

    epoch()  # starts the workers and fills the page cache
    rates, spent = [], 0.0
    while spent < args.seconds:
        samples, seconds = epoch()
        rates.append(samples / seconds)
        spent += seconds
    print(json.dumps({"bench": "load", "impl": "python", "samples_per_s": sorted(rates)[len(rates) // 2],
                      "epochs": len(rates), "batch": args.batch, "workers": args.workers}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    writing = commands.add_parser("write")
    writing.add_argument("file")
    writing.add_argument("--samples", type=int, required=True)
    writing.add_argument("--feature-width", type=int, default=2048)
    writing.set_defaults(run=write)
    loading = commands.add_parser("load")
    loading.add_argument("file")
    loading.add_argument("--batch", type=int, default=64)
    loading.add_argument("--workers", type=int, default=2)
    loading.add_argument("--seconds", type=float, default=5)
    loading.set_defaults(run=load)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
