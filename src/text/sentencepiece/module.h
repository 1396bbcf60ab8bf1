// The two entries of libcapture_sentencepiece.so. Everything that touches the sentencepiece library is in that module,
// which is loaded when a program first needs it and keeps its symbols to itself: sentencepiece carries a protobuf of
// its own and exports it, and the protobuf that OpenCV brings would otherwise run half its code, and crash.
#pragma once

#include <functional>
#include <string>

#include "capture/text/tokenizer.h"
#include "capture/text/vocabulary_training.h"

extern "C" {

/// A new Tokenizer, the caller's to delete. Throws what load_tokenizer throws.
capture::Tokenizer* capture_sentencepiece_load(const std::string& file);

/// train_sentencepiece().
void capture_sentencepiece_train(const std::function<bool(std::string&)>& next_title,
                                 const capture::VocabularyTrainingOptions& options, std::string& model);
}
