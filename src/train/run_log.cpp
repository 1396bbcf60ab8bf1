#include "capture/train/run_log.h"

#include <string>
#include <utility>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/log.h"

namespace capture {

namespace {

/// The numbers of a line as TensorBoard tags: "train/loss".
std::vector<std::pair<std::string, double>> tagged(const std::string& group, const Json& line) {
  std::vector<std::pair<std::string, double>> values;
  for (const auto& [key, value] : line.items()) {
    if (value.is_number() && key != "step") values.emplace_back(group + "/" + key, value.get<double>());
  }
  return values;
}

}  // namespace

template <class Write>
void RunLog::attempt(const Write& write) {
  try {
    write();
    failing_ = false;
  } catch (const UserError& error) {
    if (!failing_) log::warn("{}; training goes on", error.what());
    failing_ = true;
  }
}

RunLog::RunLog(const std::filesystem::path& folder, int64_t last_step)
    : metrics_(folder / "metrics.jsonl", last_step), events_(folder, last_step + 1) {}

void RunLog::training(RunPosition at, double learning_rate, const Meter& meter, double seconds) {
  Json line = {{"step", at.step}, {"epoch", at.epoch}, {"learning_rate", learning_rate}};
  line.update(meter.means());
  line["samples_per_second"] = seconds > 0 ? Json(static_cast<double>(meter.samples()) / seconds) : Json();
  attempt([&] {
    metrics_.append(line);
    events_.scalars(at.step, tagged("train", line));
  });
}

void RunLog::validation(RunPosition at, const std::array<double, 4>& losses) {
  Json values = Json::object();
  for (size_t i = 0; i < losses.size(); ++i) values[Meter::kNames[i]] = losses[i];
  attempt([&] {
    metrics_.append({{"step", at.step}, {"epoch", at.epoch}, {"validation", values}});
    events_.scalars(at.step, tagged("validation", values));
  });
}

}  // namespace capture
