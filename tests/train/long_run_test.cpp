// What long runs need between their steps: a limit of time, the best so far, an average of the weights.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "capture/train/best.h"
#include "capture/train/time_limit.h"
#include "capture/train/weight_average.h"

namespace capture {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST(TimeLimit, LeavesTimeForAStepLikeTheLongestAndACheckpoint) {
  const TimeLimit::Clock::time_point start{};
  TimeLimit limit(10, start, 2'000'000'000);  // 10 s to write
  EXPECT_FALSE(limit.is_near(start + minutes(10) - seconds(11)));
  EXPECT_TRUE(limit.is_near(start + minutes(10) - seconds(9)));
  limit.add_step(start, start + seconds(40));
  limit.add_step(start + seconds(40), start + seconds(41));
  EXPECT_FALSE(limit.is_near(start + minutes(9) - seconds(1)));
  EXPECT_TRUE(limit.is_near(start + minutes(9) + seconds(1)));
  EXPECT_FALSE(limit.is_near(start + minutes(10) - seconds(16), seconds(4)));
  EXPECT_TRUE(limit.is_near(start + minutes(10) - seconds(14), seconds(4)));
  EXPECT_FALSE(TimeLimit(0, start, 1).is_near(start + std::chrono::hours(100000)));
}

TEST(BestSoFar, CountsHowLongTheBestStands) {
  BestSoFar loss("loss", /*higher_is_better=*/false, "pairs");
  EXPECT_TRUE(loss.state().is_null());
  EXPECT_TRUE(loss.add(2, 10));
  EXPECT_FALSE(loss.add(2, 20));
  EXPECT_FALSE(loss.add(NAN, 30));
  EXPECT_EQ(loss.others_since(), 2);
  EXPECT_TRUE(loss.add(1, 40));
  EXPECT_EQ(loss.others_since(), 0);
  BestSoFar retrieval("mAP@10", /*higher_is_better=*/true, "gallery");
  EXPECT_TRUE(retrieval.add(0.1, 10));
  EXPECT_TRUE(retrieval.add(0.2, 20));
  EXPECT_FALSE(retrieval.add(0.15, 30));
  EXPECT_EQ(retrieval.place()->step, 20);
}

TEST(BestSoFar, GoesOnFromItsStateUnlessItSpeaksOfAnotherMetricOrOtherData) {
  BestSoFar before("loss", false, "pairs");
  before.add(2, 10);
  before.add(3, 20);
  BestSoFar after("loss", false, "pairs");
  EXPECT_FALSE(after.load_state(before.state()));
  EXPECT_EQ(after.others_since(), 1);
  EXPECT_FALSE(after.add(2.5, 30));
  BestSoFar other("mAP@10", true, "gallery");
  EXPECT_FALSE(other.load_state(before.state()));
  EXPECT_FALSE(other.place());
  BestSoFar elsewhere("loss", false, "other pairs");
  EXPECT_TRUE(elsewhere.load_state(before.state()));
  EXPECT_FALSE(elsewhere.place());
  EXPECT_EQ(elsewhere.others_since(), 0);
  BestSoFar unmeasured("loss", false, "");
  EXPECT_FALSE(unmeasured.load_state(before.state()));
  EXPECT_EQ(unmeasured.state(), before.state());
  Json old = before.state();
  old.erase("data");
  EXPECT_FALSE(elsewhere.load_state(old));
  EXPECT_EQ(elsewhere.place()->step, 10);
  elsewhere.forget();
  EXPECT_TRUE(elsewhere.state().is_null());
  BestSoFar never("loss", false, "pairs");
  never.add(NAN, 5);
  BestSoFar still("loss", false, "pairs");
  still.load_state(never.state());
  EXPECT_EQ(still.others_since(), 1);
  EXPECT_FALSE(still.place());
}

TEST(WeightAverage, FollowsTheWeightsThatTrain) {
  HybridStreamModelOptions options;
  options.width = 8;
  options.projection_width = options.vocabulary_size = options.feature_width = 4;
  options.text = options.image = {.layers = 0, .heads = 2, .feed_forward = 4};
  options.cross.layers = options.co_transformer.layers = 0;
  HybridStreamModel model(options, 1);
  at::Tensor trained = model->text_projection->weight;
  at::Tensor frozen = model->region_projection->weight.set_requires_grad(false);
  const at::Tensor first = trained.detach().clone();
  const at::Tensor kept = frozen.clone();
  WeightAverage average(model, 0.5);
  EXPECT_FALSE(average.model()->is_training());
  EXPECT_TRUE(average.model()->text_projection->weight.equal(first));
  {
    const at::NoGradGuard no_gradient;
    trained.add_(1);
    frozen.add_(1);
  }
  average.update(1);    // decay 2 / 11
  average.update(100);  // decay 0.5
  const at::Tensor expected = first + (1 - 0.5 * 2 / 11.0);
  EXPECT_TRUE(at::allclose(average.model()->text_projection->weight, expected, 1e-6, 1e-6));
  EXPECT_TRUE(average.model()->region_projection->weight.equal(kept));
  EXPECT_FALSE(average.model()->text_projection->weight.requires_grad());
}

}  // namespace
}  // namespace capture
