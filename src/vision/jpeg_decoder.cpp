// libjpeg reports errors by longjmp. The jump must not cross a destructor, so that everything it could skip lives in
// Session, which decode_jpeg owns, and run() holds plain values only.
#include "jpeg_decoder.h"

#include <csetjmp>
#include <cstdio>
// jpeglib.h wants <cstdio> before it.
#include <jpeglib.h>
// The codes of the library's warnings.
#include <jerror.h>

namespace capture {

namespace {

struct Session {
  ~Session() { jpeg_destroy_decompress(&info); }

  jpeg_error_mgr errors{};  // first: libjpeg hands out a pointer to it
  std::jmp_buf jump{};
  jpeg_decompress_struct info{};
  std::vector<uint8_t> row;
  DecodedJpeg result;
};

Session& session_of(j_common_ptr info) {
  return *reinterpret_cast<Session*>(info->err);
}

void note(j_common_ptr info) {
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  std::string& damage = session_of(info).result.damage;
  if (damage.empty()) damage = text;
}

void on_error(j_common_ptr info) {
  note(info);
  std::longjmp(session_of(info).jump, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace message
  // Stray bytes between segments, odd version numbers and colour hints leave the pixels as they were meant.
  switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
      return;
    default:
      note(info);
  }
}

void drop_text(j_common_ptr) {}

/// One row of CMYK to BGR, the plain way: no colour profile is consulted. Adobe's files hold the inks inverted.
void flatten_inks(const uint8_t* inks, bool inverted, int width, uint8_t* bgr) {
  for (int x = 0; x < width; ++x, inks += 4, bgr += 3) {
    const auto paper = [&](int ink) { return inverted ? int{inks[ink]} : 255 - inks[ink]; };
    for (int channel = 0; channel < 3; ++channel) {
      bgr[channel] = static_cast<uint8_t>((paper(2 - channel) * paper(3) + 127) / 255);
    }
  }
}

void run(Session& session, std::span<const std::byte> bytes, int fraction) {
  jpeg_decompress_struct& info = session.info;
  DecodedJpeg& result = session.result;
  if (setjmp(session.jump) != 0) return;
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&info, TRUE);
  const bool inks = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = inks ? JCS_CMYK : JCS_EXT_BGR;
  info.scale_num = 1;
  info.scale_denom = static_cast<unsigned>(fraction);
  info.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&info);
  result.width = static_cast<int>(info.output_width);
  result.height = static_cast<int>(info.output_height);
  result.bgr.resize(size_t{info.output_width} * info.output_height * 3);
  session.row.resize(size_t{info.output_width} * 4);
  while (info.output_scanline < info.output_height) {
    uint8_t* const target = result.bgr.data() + size_t{info.output_scanline} * info.output_width * 3;
    JSAMPROW row = inks ? session.row.data() : target;
    jpeg_read_scanlines(&info, &row, 1);
    if (inks) flatten_inks(row, info.saw_Adobe_marker, result.width, target);
  }
  jpeg_finish_decompress(&info);
}

}  // namespace

DecodedJpeg decode_jpeg(std::span<const std::byte> bytes, int fraction) {
  Session session;
  session.info.err = jpeg_std_error(&session.errors);
  session.errors.error_exit = on_error;
  session.errors.emit_message = on_message;
  session.errors.output_message = drop_text;
  run(session, bytes, fraction);
  return std::move(session.result);
}

}  // namespace capture
