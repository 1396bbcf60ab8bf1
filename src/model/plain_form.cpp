#include "plain_form.h"

#include <ATen/core/Tensor.h>

namespace capture {

namespace {

thread_local bool plain_form = false;

}  // namespace

PlainForm::PlainForm() : before_(plain_form) {
  plain_form = true;
}

PlainForm::~PlainForm() {
  plain_form = before_;
}

bool PlainForm::wanted() {
  return plain_form;
}

bool own_kernels(const Sequences& sequences) {
  return sequences.packed() && sequences.starts.is_cpu() && !PlainForm::wanted();
}

}  // namespace capture
