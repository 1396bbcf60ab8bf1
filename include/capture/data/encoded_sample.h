// A sample as the bytes that a shard stores, made apart from the shard so that many threads can share the work.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "capture/data/sample.h"
#include "capture/data/shard.h"

namespace capture {

class Tokenizer;

/// Made by encode(): every rule that concerns one sample alone has been checked.
struct EncodedSample {
  std::string id;
  std::vector<std::byte> record;  ///< where its blob begins is filled in by the shard's writer
  std::vector<std::byte> blob;
};

/// Thread-safe. UserError whose `where` is "sample \"<id>\"" when the sample does not fit the layout, its id is empty,
/// a text is not UTF-8, a box leaves the image by more than a pixel, a feature is not finite (beyond ±65504 for
/// float16), or its token ids are not one list a title, below the vocabulary size, exactly when the layout names a
/// tokenizer.
EncodedSample encode(const ShardLayout& layout, const Sample& sample);

/// encode() of a stored sample, for another shard. Where both layouts store numbers alike they are copied as they are,
/// so that int8 is not rounded a second time. Token ids stay if the layout names the tokenizer that made them; those of
/// another need `tokenizer`. Thread-safe.
EncodedSample encode(const ShardLayout& layout, const SampleView& sample, const Tokenizer* tokenizer = nullptr);

/// What a layout says of token ids that this tokenizer makes.
TokenizerMark mark_of(const Tokenizer& tokenizer);

/// Sets the sample's token ids: all of each title's. Thread-safe.
void add_token_ids(const Tokenizer& tokenizer, Sample& sample);

}  // namespace capture
