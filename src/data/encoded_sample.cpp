#include "capture/data/encoded_sample.h"

#include <cstring>
#include <stdexcept>

#include "capture/base/error.h"
#include "capture/text/tokenizer.h"
#include "record.h"

namespace capture {

EncodedSample encode(const ShardLayout& layout, const Sample& sample) {
  EncodedSample encoded{.id = sample.id, .record = {}, .blob = {}};
  try {
    write_record(layout, sample, encoded.record, encoded.blob);
    // What was encoded is looked at as a reader will see it, so that writer and verify cannot disagree.
    const std::string problem = find_problem(view_record(layout, encoded.record.data(), encoded.blob));
    if (!problem.empty()) throw UserError({.what = problem});
  } catch (const UserError& error) {
    throw UserError({.what = error.what(), .where = "sample \"" + sample.id + "\""});
  }
  return encoded;
}

EncodedSample encode(const ShardLayout& layout, const SampleView& stored, const Tokenizer* tokenizer) {
  Sample sample = stored.copy();
  if (layout.tokenizer.id_bytes() == 0) {
    sample.token_ids.clear();
  } else if (layout.tokenizer != stored.layout().tokenizer) {
    if (tokenizer == nullptr) throw std::logic_error("token ids are asked for, and there is no tokenizer");
    add_token_ids(*tokenizer, sample);
  }
  EncodedSample encoded = encode(layout, sample);
  ShardLayout same = stored.layout();
  same.tokenizer = layout.tokenizer;
  if (same == layout) {
    const size_t numbers = record_shape(layout).views;
    std::memcpy(encoded.record.data() + numbers, stored.record() + numbers, encoded.record.size() - numbers);
  }
  return encoded;
}

TokenizerMark mark_of(const Tokenizer& tokenizer) {
  return {.fingerprint = tokenizer.fingerprint(), .vocabulary_size = tokenizer.vocabulary_size()};
}

void add_token_ids(const Tokenizer& tokenizer, Sample& sample) {
  sample.token_ids.clear();
  for (const auto& title : sample.titles) sample.token_ids.push_back(tokenizer.encode(title));
}

}  // namespace capture
