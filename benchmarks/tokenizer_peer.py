#!/usr/bin/env python3
"""WordPiece speed: capture_tokenizer against PyPI `tokenizers`, same titles, same run, same ids (checked).

    pip install tokenizers==0.22.1
    benchmarks/tokenizer_peer.py build/release/bin/capture_tokenizer [--titles 200000] [--rounds 5]

Rounds alternate; each figure is the median. The program's time covers its start, reading lines and printing ids; the
package's covers encode_batch alone, on every core it takes. CPU time is that of all threads, so that a busy machine
does not blur the comparison. Prints one JSON line.
"""
import argparse
import itertools
import json
import pathlib
import resource
import statistics
import subprocess
import time

from tokenizers import BertWordPieceTokenizer

DATA = pathlib.Path(__file__).parent.parent / "tests/text/wordpiece"


def timed(work, who):
    """What the work returns, its wall time and the CPU time that `who` spent on it."""
    before, start = resource.getrusage(who), time.perf_counter()
    result = work()
    wall, after = time.perf_counter() - start, resource.getrusage(who)
    return result, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--titles", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    real = (DATA / "titles.txt").read_text(encoding="utf-8").splitlines()
    titles = list(itertools.islice(itertools.cycle(real), arguments.titles))
    text = ("\n".join(titles) + "\n").encode()
    command = [arguments.program, "encode", "--type", "wordpiece", "--vocab", str(DATA / "vocab.txt"), "--ids"]
    package = BertWordPieceTokenizer(str(DATA / "vocab.txt"), lowercase=True)

    times = {"capture": [], "tokenizers": []}
    for _ in range(arguments.rounds):
        output, *spent = timed(lambda: subprocess.run(command, input=text, capture_output=True, check=True).stdout,
                               resource.RUSAGE_CHILDREN)
        times["capture"].append(spent)
        encodings, *spent = timed(lambda: package.encode_batch(titles), resource.RUSAGE_SELF)
        times["tokenizers"].append(spent)
    expected = "".join(" ".join(map(str, encoding.ids)) + "\n" for encoding in encodings)
    assert output.decode() == expected, "the ids differ"

    result = {"bench": "wordpiece", "titles": len(titles)}
    for name, rounds in times.items():
        for kind, values in zip(("wall", "cpu"), zip(*rounds)):
            result[f"{name}_titles_per_{kind}_second"] = round(len(titles) / statistics.median(values))
    for kind in ("wall", "cpu"):
        result[f"{kind}_ratio"] = round(result[f"capture_titles_per_{kind}_second"] /
                                        result[f"tokenizers_titles_per_{kind}_second"], 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
