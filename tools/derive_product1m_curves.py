#!/usr/bin/env python3
"""Prints src/data/synth_curves.h: the counts that `capture_data synth` takes after the published Product1M dev list.

    tools/derive_product1m_curves.py product1m_dev_ossurl_v2.txt tests/text/wordpiece/titles.ids > src/data/synth_curves.h

The second file holds the token ids of the list's titles, one title a line, [CLS] and [SEP] among them. No name, title or
label leaves the list: only how often things occur.
"""
import collections
import pathlib
import sys
import textwrap

MAX_TOKENS = 36
# The dev list ends at 7 labels, the test list at 12: the tail goes on falling as the curve before it does.
TAIL = {(8, 7): 10, (9, 8): 6, (10, 8): 4, (11, 9): 2, (12, 10): 1}

HEADER = '''// How often things occur in the published Product1M dev list: counts alone, no name or title.
// Written by tools/derive_product1m_curves.py; do not edit by hand.
#pragma once

#include <array>
#include <cstdint>

namespace capture::synth {{

/// How many labels a photo is listed with, and how many of them differ.
struct KitShape {{
  int32_t listed;
  int32_t distinct;
  int32_t count;
}};

/// How often each label is listed, the most frequent first.
{labels}

/// How many labels each brand has, the largest first. The labels of a photo are of one brand.
{brands}

/// Titles of first_title_tokens, one more, … tokens, [CLS] and [SEP] among them.
inline constexpr int32_t kFirstTitleTokens = {first_tokens};
{tokens}

/// Photos of each shape. Those of more than {longest} labels, which only the test list has, are a guess.
{kits}

}}  // namespace capture::synth
'''


def array(name, kind, items):
    body = textwrap.fill(", ".join(items), 118, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return f"inline constexpr std::array<{kind}, {len(items)}> {name} = {{{{\n{body}}}}};"


def numbers(name, values):
    return array(name, "int32_t", [str(value) for value in values]).replace("{{", "{").replace("}}", "}")


def main():
    list_file, ids_file = map(pathlib.Path, sys.argv[1:])
    listed = [line.split("#####")[4].split("#;#") for line in list_file.read_text(encoding="utf-8").splitlines()]
    labels = collections.Counter(label for photo in listed for label in photo)
    brands = collections.Counter(label.split(" ")[0] for label in labels)
    kits = collections.Counter((len(photo), len(set(photo))) for photo in listed)
    longest = max(count for count, _ in kits)
    tokens = collections.Counter(min(len(line.split()), MAX_TOKENS) for line in ids_file.read_text().splitlines())
    print(
        HEADER.format(
            labels=numbers("kLabelCounts", sorted(labels.values(), reverse=True)),
            brands=numbers("kBrandSizes", sorted(brands.values(), reverse=True)),
            first_tokens=min(tokens),
            tokens=numbers("kTitleTokens", [tokens[n] for n in range(min(tokens), MAX_TOKENS + 1)]),
            longest=longest,
            kits=array("kKitShapes", "KitShape", [f"{{{a}, {b}, {n}}}" for (a, b), n in sorted((kits | TAIL).items())]),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
