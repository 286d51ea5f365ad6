// Buffers of XLA as operands of kernels: checked, and with an offset for every replica.

#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels.h"
#include "xla/ffi/api/ffi.h"

namespace hopgym {

namespace ffi = xla::ffi;

// Reads the operands of a call in turn. What does not fit is remembered, so that one
// look at `problem` after all is enough.
class Operands {
 public:
  // `batch`: the leading dimensions of the results, over which replicas run.
  Operands(const ffi::RemainingArgs& arguments, std::vector<int64_t> batch)
      : arguments_(arguments), batch_(std::move(batch)) {
    for (int64_t size : batch_) replicas_ *= size;
  }

  int64_t replicas() const { return replicas_; }

  // The next operand, whose last dimensions must be `core`; those before are the
  // batch's or 1.
  template <class T>
  Operand<T> next(const char* name, std::vector<int64_t> core) {
    Operand<T> operand{nullptr, 0, nullptr};
    auto found = arguments_.get<ffi::AnyBuffer>(index_++);
    if (!found) {
      refuse(name, "is missing");
      return operand;
    }
    constexpr ffi::DataType expected = std::is_same_v<T, float>    ? ffi::F32
                                       : std::is_same_v<T, double> ? ffi::F64
                                                                   : ffi::S32;
    if (found->element_type() != expected) {
      refuse(name, "has another dtype");
      return operand;
    }
    const auto dims = found->dimensions();
    const size_t lead = dims.size() - core.size();
    bool fits = dims.size() == batch_.size() + core.size();
    int64_t size = 1, rows = 1;
    for (size_t k = 0; fits && k < dims.size(); ++k) {
      if (k < lead) {
        fits = dims[k] == batch_[k] || dims[k] == 1;
        rows *= dims[k];
      } else {
        fits = dims[k] == core[k - lead];
        size *= dims[k];
      }
    }
    if (!fits) {
      refuse(name, "has another shape");
      return operand;
    }
    operand.data = static_cast<const T*>(found->untyped_data());
    if (rows == 1) return operand;
    if (rows == replicas_) {
      operand.stride = size;
      return operand;
    }
    std::vector<int64_t>& offsets = offsets_.emplace_back(replicas_);
    for (int64_t r = 0; r < replicas_; ++r) {
      int64_t row = 0, rest = r, step = 1;
      for (size_t k = lead; k-- > 0; rest /= batch_[k]) {
        if (dims[k] != 1) row += rest % batch_[k] * step;
        step *= dims[k];
      }
      offsets[r] = row * size;
    }
    operand.offsets = offsets.data();
    return operand;
  }

  const std::string& problem() const { return problem_; }

 private:
  void refuse(const char* name, const char* why) {
    if (problem_.empty()) problem_ = std::string("hopgym: operand ") + name + " " + why;
  }

  const ffi::RemainingArgs& arguments_;
  std::vector<int64_t> batch_;
  int64_t replicas_ = 1;
  size_t index_ = 0;
  std::deque<std::vector<int64_t>> offsets_;
  std::string problem_;
};

}  // namespace hopgym
