#include "capture/retrieval/protocols.h"

namespace capture {

Evaluation evaluate(const GroundTruth& truth, const Rankings& rankings, const EvaluationOptions& options) {
  Evaluation evaluation;
  if (options.protocol != Protocol::product1m_official) {
    evaluation.strict = evaluate_strict(truth, rankings, options.at, options.skip_unanswerable);
  }
  if (options.protocol != Protocol::strict) evaluation.official = evaluate_official(truth, rankings, options.at);
  return evaluation;
}

const char* name_of(QueryGroup group) {
  return group == QueryGroup::all ? "all" : group == QueryGroup::single ? "single" : "multi";
}

}  // namespace capture
