#include "capture/train/best.h"

#include <cmath>

namespace capture {

bool BestSoFar::add(double value, int64_t step) {
  const bool better = !place_ || (higher_is_better_ ? value > place_->value : value < place_->value);
  if (!std::isfinite(value) || !better) {
    ++others_since_;
    return false;
  }
  place_ = Place{value, step};
  others_since_ = 0;
  return true;
}

Json BestSoFar::state() const {
  if (!place_ && others_since_ == 0) return {};
  Json state = {{"metric", metric_}, {"data", data_}, {"others_since", others_since_}};
  if (place_) state.update({{"value", place_->value}, {"step", place_->step}});
  return state;
}

bool BestSoFar::load_state(const Json& state) {
  if (state.is_null() || state.value("metric", metric_) != metric_) return false;
  const std::string data = state.value("data", data_);
  if (data_.empty()) data_ = data;
  if (data != data_) return true;
  others_since_ = state.value("others_since", int64_t{0});
  if (state.contains("value")) place_ = Place{state["value"].get<double>(), state.at("step").get<int64_t>()};
  return false;
}

void BestSoFar::forget() {
  place_.reset();
  others_since_ = 0;
}

}  // namespace capture
