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

RunLog::RunLog(const std::filesystem::path& folder, int64_t last_step, bool measured)
    : metrics_(folder / "metrics.jsonl",
               [=](int64_t step, const Json& line) {
                 if (step != last_step || measured) return step <= last_step;
                 return !line.contains("validation") && !line.contains("evaluation");
               }),
      events_(folder, last_step + 1) {}

void RunLog::training(RunPosition at, double learning_rate, const Meter& meter, const Throughput& throughput) {
  Json line = {{"step", at.step}, {"epoch", at.epoch}, {"learning_rate", learning_rate}};
  line.update(meter.means());
  const auto a_second = [&](double amount) {
    return throughput.seconds > 0 ? Json(amount / throughput.seconds) : Json();
  };
  line["samples_per_second"] = a_second(static_cast<double>(meter.samples()));
  line["tflops"] = a_second(1e-12 * throughput.flops);
  line["mfu"] = a_second(1e-12 * throughput.flops / throughput.peak_tflops);
  line["memory_megabytes"] = throughput.memory_bytes / 1'000'000;
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

void RunLog::evaluation(RunPosition at, const GalleryFigures& figures) {
  Json values = Json::object();
  for (const auto& [name, value] : figures) values[name] = value;
  attempt([&] {
    metrics_.append({{"step", at.step}, {"epoch", at.epoch}, {"evaluation", values}});
    events_.scalars(at.step, tagged("evaluation", values));
  });
}

}  // namespace capture
