#!/usr/bin/env python3
"""What a peer of full_size takes when it only embeds, in a process of its own: time and peak memory.

  embedding_peer.py PEER.py [--batch 8] [--steps 3] [--threads N] [--dtype fp32|bf16-autocast] [--lengths full|product1m]

A peer that trains and embeds in one process tells only the peak of both. This one loads it as a module and asks it for
Capture(), synthetic_batch(batch, lengths=...), prepare(batch), to_device(batch, device) and Capture.embed(batch). It
prints one JSON line; a peer without these names is no error and gives a line without figures.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import resource
import statistics
import sys
import time

NEEDS = ("Capture", "synthetic_batch", "prepare", "to_device")


def load(path):
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location("peer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def figures(args):
    peer = load(args.peer)  # before torch: it may set the environment that torch reads
    if not all(hasattr(peer, name) for name in NEEDS):
        return {}
    import torch
    torch.set_num_threads(args.threads)
    torch.manual_seed(42)
    fp32 = args.dtype == "fp32"
    if fp32 and torch.cpu._is_avx512_bf16_supported() and not torch.cpu._is_amx_tile_supported():
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # oneDNN's products, which without AMX still are of float32
    model = peer.Capture().eval()
    batch = peer.to_device(peer.prepare(peer.synthetic_batch(args.batch, lengths=args.lengths)), "cpu")
    seconds = []
    for _ in range(args.steps + 1):
        start = time.perf_counter()
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=not fp32):
            model.embed(batch)
        seconds.append(time.perf_counter() - start)
    return {"embed_samples_per_s": round(args.batch / statistics.median(seconds[1:]), 3),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", type=pathlib.Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--dtype", default="fp32", choices=("fp32", "bf16-autocast"))
    parser.add_argument("--lengths", default="full", choices=("full", "product1m"))
    args = parser.parse_args()
    print(json.dumps({"batch": args.batch, "dtype": args.dtype, "lengths": args.lengths, **figures(args)}))


if __name__ == "__main__":
    main()
