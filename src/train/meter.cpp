#include "capture/train/meter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace capture {

bool Meter::add(const Values& values, int64_t samples) {
  samples_ += samples;
  if (!std::ranges::all_of(values, [](double value) { return std::isfinite(value); })) {
    ++skipped_;
    ++skipped_in_a_row_;
    ++skipped_in_all_;
    return false;
  }
  for (size_t i = 0; i < values.size(); ++i) sums_[i] += values[i];
  ++steps_;
  skipped_in_a_row_ = 0;
  return true;
}

Json Meter::means() const {
  Json json = Json::object();
  for (size_t i = 0; i < sums_.size(); ++i) {
    json[kNames[i]] = steps_ > 0 ? Json(sums_[i] / static_cast<double>(steps_)) : Json();
  }
  json["skipped"] = skipped_;
  return json;
}

double Meter::mean_loss() const {
  return steps_ > 0 ? sums_[0] / static_cast<double>(steps_) : std::numeric_limits<double>::quiet_NaN();
}

void Meter::reset() {
  sums_ = {};
  steps_ = samples_ = skipped_ = 0;
}

Json Meter::state() const {
  return {{"sums", sums_},
          {"steps", steps_},
          {"samples", samples_},
          {"skipped", skipped_},
          {"skipped_in_a_row", skipped_in_a_row_},
          {"skipped_in_all", skipped_in_all_}};
}

void Meter::load_state(const Json& state) {
  state.at("sums").get_to(sums_);
  state.at("steps").get_to(steps_);
  state.at("samples").get_to(samples_);
  state.at("skipped").get_to(skipped_);
  state.at("skipped_in_a_row").get_to(skipped_in_a_row_);
  state.at("skipped_in_all").get_to(skipped_in_all_);
}

}  // namespace capture
