// What sentencepiece takes on trust from a model file, checked before it gets to see it.
//
// It walks the file's table of character replacements (a double-array trie, then the replacements) without looking at
// bounds: a damaged or hostile table makes it read anywhere. The rest of a model it checks itself.
#pragma once

#include <string_view>

namespace capture {

/// Whether every walk through the replacement tables of this sentencepiece model (a serialised ModelProto) stays inside
/// them. False too for bytes that are no such message.
bool has_safe_tables(std::string_view model);

}  // namespace capture
