#!/usr/bin/env python3
"""Turns a PyTorch checkpoint (.bin, .pt, .pth) into a .safetensors file, for capture_weights import.

  tools/convert_checkpoint.py pytorch_model.bin pytorch_model.safetensors

Needs torch, which tools/setup keeps in the user's cache. The file is read with weights_only, so that it cannot run code.
"""
import ctypes
import json
import os
import pathlib
import struct
import sys
import warnings


def fail(message):
    sys.exit(f"convert_checkpoint.py: {message}")


def import_torch():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "capture"
    sys.path.extend(str(folder) for folder in sorted(cache.glob("torch-*"), reverse=True))
    warnings.filterwarnings("ignore")  # torch warns of a missing numpy, which is not needed here
    try:
        import torch
    except ImportError as error:
        fail(f"torch cannot be imported ({error}); run tools/setup first")
    return torch


def state_dict_of(torch, path):
    """The checkpoint's tensors by name, whether it is a state dict or holds one."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        fail(f"{path}: no such file")
    except Exception as error:  # whatever a damaged pickle raises
        fail(f"{path}: is damaged, or no PyTorch checkpoint of plain tensors ({type(error).__name__})")
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        fail(f"{path}: holds a {type(loaded).__name__}, not a state dict")
    tensors = {name: value.contiguous() for name, value in loaded.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        fail(f"{path}: holds no tensors")
    return tensors


def write_safetensors(torch, path, tensors):
    names = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
             torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
             torch.bool: "BOOL"}
    header, order, end = {}, sorted(tensors, key=lambda name: -tensors[name].element_size()), 0
    for name in order:
        tensor = tensors[name]
        if tensor.dtype not in names:
            fail(f"tensor {name} is of type {tensor.dtype}, which a .safetensors file cannot hold")
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    aside = f"{path}.part-{os.getpid()}"
    try:
        with open(aside, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                tensor = tensors[name]
                file.write(ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        pathlib.Path(aside).unlink(missing_ok=True)
        fail(f"{path}: cannot be written: {error.strerror}")


def main():
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if len(sys.argv) == 2 and sys.argv[1] in ("-h", "--help") else 2
    torch = import_torch()
    tensors = state_dict_of(torch, sys.argv[1])
    write_safetensors(torch, sys.argv[2], tensors)
    print(f"{sys.argv[2]}: {len(tensors)} tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
