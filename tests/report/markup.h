// A small, strict reader of the markup that the report writes: it fails on tags that do not pair up.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace capture::testing {

struct Element {
  std::string tag;
  std::map<std::string, std::string> attributes;  ///< as written, entities kept
  std::string text;                               ///< the text inside it and inside its children, entities kept

  std::string operator[](const std::string& name) const {
    const auto found = attributes.find(name);
    return found == attributes.end() ? "" : found->second;
  }
  bool has(const std::string& name) const { return attributes.contains(name); }
  bool has_class(const std::string& name) const {
    return (' ' + (*this)["class"] + ' ').find(' ' + name + ' ') != std::string::npos;
  }
};

/// Reads the inside of a start tag: a name, then name="value" pairs.
inline Element parse_tag(std::string_view inside) {
  Element element;
  size_t at = std::min(inside.find(' '), inside.size());
  element.tag = inside.substr(0, at);
  while (at < inside.size()) {
    const size_t name = at + 1;
    const size_t equals = inside.find("=\"", name);
    if (inside[at] != ' ' || equals == std::string_view::npos)
      throw std::runtime_error("bad tag " + std::string(inside));
    const size_t end = inside.find('"', equals + 2);
    const std::string key(inside.substr(name, equals - name));
    if (!element.attributes.emplace(key, inside.substr(equals + 2, end - equals - 2)).second) {
      throw std::runtime_error("attribute twice: " + std::string(inside));
    }
    at = end + 1;
  }
  return element;
}

/// All elements in document order. Throws when a tag is left open, closed twice or closed out of order.
inline std::vector<Element> parse_markup(std::string_view html) {
  std::vector<Element> elements;
  std::vector<size_t> open;
  size_t at = 0;
  while (at < html.size()) {
    const size_t next = std::min(html.find('<', at), html.size());
    for (const size_t i : open) elements[i].text += html.substr(at, next - at);
    if (next == html.size()) break;
    const size_t end = html.find('>', next);
    if (end == std::string_view::npos) throw std::runtime_error("a tag is cut off");
    const std::string_view inside = html.substr(next + 1, end - next - 1);
    at = end + 1;
    if (inside.starts_with('!')) continue;
    if (inside.starts_with('/')) {
      if (open.empty() || elements[open.back()].tag != inside.substr(1)) {
        throw std::runtime_error("unexpected </" + std::string(inside.substr(1)) + ">");
      }
      open.pop_back();
      continue;
    }
    elements.push_back(parse_tag(inside));
    const std::string& tag = elements.back().tag;
    if (tag == "meta" || tag == "img" || tag == "input") continue;
    open.push_back(elements.size() - 1);
    if (tag == "style" || tag == "script") {
      at = html.find("</" + tag, at);
      if (at == std::string_view::npos) throw std::runtime_error(tag + " is left open");
    }
  }
  if (!open.empty()) throw std::runtime_error("left open: " + elements[open.back()].tag);
  return elements;
}

inline std::vector<Element> select(const std::vector<Element>& elements, std::string_view tag) {
  std::vector<Element> found;
  for (const Element& element : elements) {
    if (element.tag == tag) found.push_back(element);
  }
  return found;
}

inline std::vector<Element> select_class(const std::vector<Element>& elements, const std::string& name) {
  std::vector<Element> found;
  for (const Element& element : elements) {
    if (element.has_class(name)) found.push_back(element);
  }
  return found;
}

}  // namespace capture::testing
