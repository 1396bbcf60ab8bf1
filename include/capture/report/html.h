// Writing HTML and SVG that is correct by construction: text and attributes are escaped, and tags close themselves.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace capture {

/// The text with bytes that are not UTF-8, and control characters other than tab and newline, replaced by U+FFFD.
std::string clean_utf8(std::string_view text);

/// clean_utf8 with & < > " ' written as entities: safe as text and inside a quoted attribute.
std::string escape_html(std::string_view text);

/// A number with a fixed count of decimals, whatever the locale; "–" when it is not finite.
std::string fixed(double value, int decimals);

/// A whole number with thin spaces between thousands ("12 345").
std::string grouped(size_t value);

/// Builds a document tag by tag.
///
///     HtmlWriter html;
///     {
///       auto list = html.open("ul", {{"class", "facts"}});
///       html.element("li", {}, "a < b");
///     }
///     html.take();  // <ul class="facts"><li>a &lt; b</li></ul>
class HtmlWriter {
 public:
  using Attributes = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  /// An open tag; it is closed when this goes out of scope.
  class Scope {
   public:
    Scope(HtmlWriter& writer, std::string_view tag) : writer_(writer), tag_(tag) {}
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    HtmlWriter& writer_;
    std::string tag_;
  };

  /// Opens a tag. Attributes with an empty value are left out, but for alt, which says something when empty.
  [[nodiscard]] Scope open(std::string_view tag, Attributes attributes = {});
  /// A tag with text in it.
  void element(std::string_view tag, Attributes attributes, std::string_view text);
  /// A tag that has no content and no end tag (img, meta).
  void empty(std::string_view tag, Attributes attributes);
  /// Escaped text.
  void text(std::string_view text);
  /// Text that is already HTML: constants of ours, and what another HtmlWriter built.
  void raw(std::string_view html) { out_ += html; }

  std::string take() { return std::move(out_); }

 private:
  friend class Scope;
  void start(std::string_view tag, Attributes attributes);

  std::string out_;
};

}  // namespace capture
