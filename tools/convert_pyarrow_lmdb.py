#!/usr/bin/env python3
"""Makes an LMDB with msgpack values from one that newer tensorpack wrote with pyarrow.

pyarrow.serialize was dropped by pyarrow itself, so this needs an old one:

    python3 -m venv old && old/bin/pip install "pyarrow<12" "numpy<2" lmdb msgpack msgpack-numpy
    old/bin/python tools/convert_pyarrow_lmdb.py train.lmdb train_msgpack.lmdb
    capture_data import-lmdb train_msgpack.lmdb --output data/train
"""
import os
import sys
import warnings

import lmdb
import msgpack
import msgpack_numpy
import pyarrow


def main(source, target):
    if os.path.exists(target):
        sys.exit(f"{target}: exists already; name another file")
    warnings.simplefilter("ignore", FutureWarning)
    database = lmdb.open(source, subdir=os.path.isdir(source), readonly=True, lock=False)
    # Room for the same data again: msgpack takes no more than pyarrow does.
    size = 2 * database.info()["map_size"] + (1 << 30)
    output = lmdb.open(target, subdir=False, map_size=size)
    records = 0
    with database.begin() as reading:
        writing = output.begin(write=True)
        for key, value in reading.cursor():
            content = pyarrow.deserialize(value)
            writing.put(key, msgpack.packb(content, default=msgpack_numpy.encode, use_bin_type=True), append=True)
            records += 1
            if records % 1000 == 0:
                writing.commit()
                writing = output.begin(write=True)
        writing.commit()
    output.sync()
    print(f"{target}: {records} records")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: convert_pyarrow_lmdb.py SOURCE TARGET")
    main(sys.argv[1], sys.argv[2])
