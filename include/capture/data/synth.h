// A synthetic twin of Product1M: any number of pairs of regions and titles, and a gallery and queries with labels, in
// which regions, words and labels hang together and can be learnt. docs/synth.md describes the world that is drawn.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "capture/base/fields.h"
#include "capture/data/sample.h"

namespace capture {

struct SynthOptions {
  int64_t products = 392;           ///< labels; every product is one
  int64_t regions = 36;             ///< of every photo
  int64_t feature_width = 2048;     ///< D
  int64_t vocabulary_size = 21128;  ///< pieces of the vocabulary, five special tokens among them
  int64_t seed = 42;

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

/// train: photos of one or several products, without labels. gallery: one product each, with its label; the first
/// `products` items show every product once. queries: photos of one to twelve products, labelled as listed, repeats
/// included.
enum class SynthPart { train, gallery, queries };

/// A sample is a pure function of the options, the part and the sample's index: any thread may draw any sample at any
/// time, and a longer part begins with the shorter one.
class SynthWorld {
 public:
  /// UserError when the options are out of range or contradict each other.
  explicit SynthWorld(const SynthOptions& options);
  ~SynthWorld();

  /// index >= 0.
  Sample sample(SynthPart part, int64_t index) const;
  /// The same into `sample`, whose memory is used again.
  void draw(SynthPart part, int64_t index, Sample& sample) const;

  /// The text of a vocab.txt for WordPiece in which every word of every title is one or two pieces.
  std::string vocabulary() const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace capture
