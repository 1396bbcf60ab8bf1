// How options describe themselves. A component's options are a plain struct with one member function,
//
//   void visit(FieldVisitor& f) {
//     f.field("layers", layers, "Transformer layers of the text stream.", {0, 64});
//     f.section("dropout", dropout, "…");
//   }
//
// and that one description serves reading JSON, `--set`, the resolved dump, the JSON Schema and --help-config.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace capture {

/// The closed range of a number, both ends allowed.
template <class T>
struct Range {
  T low = std::numeric_limits<T>::lowest();
  T high = std::numeric_limits<T>::max();
};

/// The names of an enumeration's values, in the order users read them.
template <class Enum>
using Choices = std::vector<std::pair<std::string, Enum>>;

/// What a struct's check(FieldChecker&) uses to say that fields contradict each other.
class FieldChecker {
 public:
  virtual ~FieldChecker() = default;
  /// UserError naming `key` (relative to the struct) unless `ok`.
  virtual void require(bool ok, const std::string& key, const std::string& what, const std::string& allowed) = 0;
};

/// A struct whose fields must also agree with each other has `void check(FieldChecker& c) const`.
template <class T>
concept Checked = requires(const T& options, FieldChecker& checker) {
  options.check(checker);
};

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  virtual void field(const char* name, bool& value, const char* help) = 0;
  virtual void field(const char* name, int64_t& value, const char* help, Range<int64_t> range = {}) = 0;
  virtual void field(const char* name, double& value, const char* help, Range<double> range = {}) = 0;
  virtual void field(const char* name, std::string& value, const char* help) = 0;
  virtual void field(const char* name, std::vector<int64_t>& value, const char* help, Range<int64_t> range = {}) = 0;
  virtual void field(const char* name, std::vector<double>& value, const char* help, Range<double> range = {}) = 0;
  virtual void field(const char* name, std::vector<std::string>& value, const char* help) = 0;

  /// An enumeration, written by name.
  template <class Enum>
  void choice(const char* name, Enum& value, const char* help, const Choices<Enum>& choices) {
    std::vector<std::string> names;
    std::string chosen;
    for (const auto& [text, option] : choices) {
      names.push_back(text);
      if (option == value) chosen = text;
    }
    choice_of(name, chosen, help, names);
    for (const auto& [text, option] : choices) {
      if (text == chosen) value = option;
    }
  }

  /// A nested struct of options.
  template <class Options>
  void section(const char* name, Options& options, const char* help) {
    begin_section(name, help);
    visit_struct(options);
    end_section();
  }

  /// A list of structs. A list in a file replaces the default list.
  template <class Options>
  void list(const char* name, std::vector<Options>& items, const char* help) {
    std::vector<Options> visited(begin_list(name, items.size(), help));
    for (size_t i = 0; i < visited.size(); ++i) {
      if (!replaces_lists() && i < items.size()) visited[i] = items[i];
      begin_item(i);
      visit_struct(visited[i]);
      end_item();
    }
    if (end_list()) items = std::move(visited);
  }

  /// The fields of one struct, then its check(). The root of a visit calls this.
  template <class Options>
  void visit_struct(Options& options) {
    options.visit(*this);
    end_fields();
    if constexpr (Checked<Options>) {
      if (FieldChecker* checker = this->checker()) options.check(*checker);
    }
  }

 protected:
  virtual void choice_of(const char* name, std::string& value, const char* help,
                         const std::vector<std::string>& allowed) = 0;
  /// Called after the last field of a struct.
  virtual void end_fields() {}
  virtual void begin_section(const char* name, const char* help) = 0;
  virtual void end_section() = 0;
  /// Returns how many items to visit.
  virtual size_t begin_list(const char* name, size_t size, const char* help) = 0;
  virtual void begin_item(size_t index) = 0;
  virtual void end_item() = 0;
  /// Returns whether the visited items are to be kept.
  virtual bool end_list() = 0;
  virtual bool replaces_lists() const { return false; }
  virtual FieldChecker* checker() { return nullptr; }
};

}  // namespace capture
