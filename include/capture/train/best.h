// The best validation so far, and how long ago it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "capture/base/json.h"

namespace capture {

class BestSoFar {
 public:
  struct Place {
    double value;
    int64_t step;
  };

  /// `metric`: what is measured, by its name in metrics.jsonl; the higher the better or the lower. `data`: a
  /// fingerprint of what it is measured on; "" where it is not measured now.
  BestSoFar(std::string metric, bool higher_is_better, std::string data)
      : metric_(std::move(metric)), higher_is_better_(higher_is_better), data_(std::move(data)) {}

  /// Returns whether this is the best; a value that is not finite never is.
  bool add(double value, int64_t step);

  const std::optional<Place>& place() const { return place_; }
  const std::string& metric() const { return metric_; }
  /// Values since the best one.
  int64_t others_since() const { return others_since_; }

  /// What a checkpoint keeps: null before the first value.
  Json state() const;
  /// Takes state() back, unless it speaks of another metric or of other data. Returns whether it is the data. The state
  /// of an earlier version does not name them, and is taken.
  bool load_state(const Json& state);
  /// As before the first value.
  void forget();

 private:
  std::string metric_;
  bool higher_is_better_;
  std::string data_;
  std::optional<Place> place_;
  int64_t others_since_ = 0;
};

}  // namespace capture
