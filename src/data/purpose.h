// What the random streams of the data room are drawn for. The numbers are part of what makes a run reproducible: they
// never change.
#pragma once

#include <cstdint>

namespace capture {

namespace purpose {
inline constexpr uint32_t order = 1;
inline constexpr uint32_t token_mask = 2;
inline constexpr uint32_t region_mask = 3;
inline constexpr uint32_t view = 4;
inline constexpr uint32_t title = 5;
inline constexpr uint32_t regions = 6;
inline constexpr uint32_t synth_catalogue = 7;
inline constexpr uint32_t synth_appearance = 8;
inline constexpr uint32_t synth_kit = 9;
inline constexpr uint32_t synth_title = 10;
inline constexpr uint32_t synth_photo = 11;
inline constexpr uint32_t round = 12;
inline constexpr uint32_t bucket = 13;
}  // namespace purpose

}  // namespace capture
