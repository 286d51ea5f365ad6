// Operands, results and attributes of a call by XLA, by name. XLA passes operands and
// results by number; their names are in the attributes `operands` and `results`.

#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernels.h"
#include "xla/ffi/api/ffi.h"

namespace hopgym {

namespace ffi = xla::ffi;

// A list of at most 64 names, separated by commas.
class Names {
 public:
  explicit Names(std::string_view list) : list_(list) {
    if (!list.empty()) size_ = 1 + std::count(list.begin(), list.end(), ',');
  }

  size_t size() const { return size_; }

  // The position of a name, or -1. The search starts after the last name found, so that
  // names looked up in the order of the list cost one comparison each.
  int64_t find(std::string_view name) {
    for (size_t tries = 0; tries < size_; ++tries) {
      const size_t position = position_;
      if (advance() != name) continue;
      found_ |= uint64_t(1) << position;
      return int64_t(position);
    }
    return -1;
  }

  // A name that was never looked up, or an empty one.
  std::string_view find_unused() {
    if (size_t(__builtin_popcountll(found_)) == size_) return {};
    begin_ = position_ = 0;
    for (size_t k = 0; k < size_; ++k) {
      const std::string_view name = advance();
      if (!(found_ >> k & 1)) return name;
    }
    return {};
  }

 private:
  // The name at `begin_`; advances `begin_` to the next one, or from the last to the first.
  std::string_view advance() {
    const size_t end = std::min(list_.find(',', begin_), list_.size());
    const std::string_view name = list_.substr(begin_, end - begin_);
    begin_ = end + 1;
    if (++position_ == size_) begin_ = position_ = 0;
    return name;
  }

  std::string_view list_;
  size_t size_ = 0, begin_ = 0, position_ = 0;
  uint64_t found_ = 0;
};

// A call, which a handler reads one item after the other. The first item that is missing or
// invalid is remembered, so that one check of `error` at the end is enough.
class CallFrame {
 public:
  CallFrame(const char* kernel, const ffi::RemainingArgs& operands,
            const ffi::RemainingRets& results, const ffi::Dictionary& attributes)
      : kernel_(kernel),
        operands_(operands),
        results_(results),
        attributes_(attributes),
        operand_names_(attribute<std::string_view>("operands")),
        result_names_(attribute<std::string_view>("results")) {
    if (operand_names_.size() != operands.size()) refuse("operands", "have other names");
    if (result_names_.size() != results.size()) refuse("results", "have other names");
  }

  CallFrame(const CallFrame&) = delete;

  // The number of replicas, once `read_batch` has been called.
  int64_t replicas() const { return replicas_; }

  bool has_result(std::string_view name) { return result_names_.find(name) >= 0; }

  // Reads the shape of the batch from that of a result: all dimensions except the last
  // `rank`. Returns the first one of these.
  int64_t read_batch(std::string_view name, size_t rank) {
    const auto result = find_result(name);
    if (!result) return 0;
    const auto shape = result->dimensions();
    if (shape.size() < rank || shape[shape.size() - rank] < 1) {
      refuse_buffer("result", name, "has another shape");
      return 0;
    }
    batch_ = ffi::Span<const int64_t>(shape.begin(), shape.size() - rank);
    for (int64_t size : batch_) replicas_ *= size;
    return shape[shape.size() - rank];
  }

  // An operand whose last dimensions must be `shape`; the others are those of the batch, or 1.
  template <class T>
  Operand<T> operand(std::string_view name, std::initializer_list<int64_t> shape) {
    Operand<T> operand{nullptr, 0, nullptr};
    const auto found = find_operand(name);
    if (!found) return operand;
    if (found->element_type() != kDataType<T>) {
      refuse_buffer("operand", name, "has another dtype");
      return operand;
    }
    const auto dims = found->dimensions();
    const size_t lead = batch_.size();
    bool fits = dims.size() == lead + shape.size() &&
                std::equal(shape.begin(), shape.end(), dims.begin() + lead);
    int64_t size = 1, rows = 1;
    for (int64_t length : shape) size *= length;
    for (size_t k = 0; fits && k < lead; ++k) {
      fits = dims[k] == batch_[k] || dims[k] == 1;
      rows *= dims[k];
    }
    if (!fits) {
      refuse_buffer("operand", name, "has another shape");
      return operand;
    }
    operand.data = static_cast<const T*>(found->untyped_data());
    if (rows == replicas_ && rows != 1)
      operand.stride = size;
    else if (rows != 1)
      operand.offsets = list_offsets(dims.begin(), size);
    return operand;
  }

  // A result, whose other dimensions are those of the batch.
  template <class T>
  T* result(std::string_view name, std::initializer_list<int64_t> shape) {
    const auto found = find_result(name);
    if (!found) return nullptr;
    const auto dims = found->dimensions();
    const size_t lead = batch_.size();
    if (found->element_type() != kDataType<T>)
      refuse_buffer("result", name, "has another dtype");
    else if (dims.size() != lead + shape.size() ||
             !std::equal(batch_.begin(), batch_.end(), dims.begin()) ||
             !std::equal(shape.begin(), shape.end(), dims.begin() + lead))
      refuse_buffer("result", name, "has another shape");
    else
      return static_cast<T*>(found->untyped_data());
    return nullptr;
  }

  // An operand whose memory is that of the result of the same name.
  template <class T>
  T* changed_in_place(std::string_view name, std::initializer_list<int64_t> shape) {
    T* const changed = result<T>(name, shape);
    if (operand<T>(name, shape).data != changed)
      refuse_buffer("operand", name, "must be changed in place");
    return changed;
  }

  template <class T>
  T attribute(std::string_view name) {
    ++attributes_read_;
    auto found = attributes_.get<T>(name);
    if (found) return *found;
    refuse_buffer("attribute", name,
                  attributes_.contains(name) ? "has another type" : "is missing");
    return T{};
  }

  void refuse(std::string_view what, std::string_view why) {
    if (problem_.empty())
      problem_ =
          "hopgym: " + std::string(kernel_) + ": " + std::string(what) + " " + std::string(why);
  }

  // The first error; to be called when everything known to the kernel has been read.
  ffi::Error error() {
    for (auto* names : {&operand_names_, &result_names_})
      if (const std::string_view unused = names->find_unused(); !unused.empty())
        refuse_buffer(names == &operand_names_ ? "operand" : "result", unused, "is unknown");
    if (attributes_read_ != attributes_.size()) refuse("attributes", list_attributes());
    if (problem_.empty()) return ffi::Error::Success();
    return ffi::Error(ffi::ErrorCode::kInvalidArgument, problem_);
  }

 private:
  template <class T>
  static constexpr ffi::DataType kDataType = std::is_same_v<T, float>    ? ffi::F32
                                             : std::is_same_v<T, double> ? ffi::F64
                                                                         : ffi::S32;

  std::optional<ffi::AnyBuffer> find_operand(std::string_view name) {
    const int64_t position = operand_names_.find(name);
    if (position >= 0)
      if (auto found = operands_.get<ffi::AnyBuffer>(size_t(position))) return *found;
    refuse_buffer("operand", name, "is missing");
    return std::nullopt;
  }

  std::optional<ffi::AnyBuffer> find_result(std::string_view name) {
    const int64_t position = result_names_.find(name);
    if (position >= 0)
      if (auto found = results_.get<ffi::AnyBuffer>(size_t(position))) return **found;
    refuse_buffer("result", name, "is missing");
    return std::nullopt;
  }

  // Offsets of the data of each replica, for an operand with batch dimensions of 1.
  const int64_t* list_offsets(const int64_t* dims, int64_t size) {
    std::vector<int64_t>& offsets = offsets_.emplace_back(replicas_);
    for (int64_t r = 0; r < replicas_; ++r) {
      int64_t row = 0, rest = r, step = 1;
      for (size_t k = batch_.size(); k-- > 0; rest /= batch_[k]) {
        if (dims[k] != 1) row += rest % batch_[k] * step;
        step *= dims[k];
      }
      offsets[r] = row * size;
    }
    return offsets.data();
  }

  std::string list_attributes() const {
    std::string names;
    for (std::string_view name : attributes_) names += ' ' + std::string(name);
    return "are not those that it knows:" + names;
  }

  void refuse_buffer(std::string_view kind, std::string_view name, std::string_view why) {
    if (problem_.empty()) refuse(std::string(kind) + " " + std::string(name), why);
  }

  const char* const kernel_;
  const ffi::RemainingArgs& operands_;
  const ffi::RemainingRets& results_;
  const ffi::Dictionary& attributes_;
  std::string problem_;
  size_t attributes_read_ = 0;
  Names operand_names_, result_names_;
  ffi::Span<const int64_t> batch_{nullptr, 0};
  int64_t replicas_ = 1;
  std::deque<std::vector<int64_t>> offsets_;
};

}  // namespace hopgym
