// Operands, results and attributes of a call by XLA, all of them by name. XLA numbers
// operands and results; their names are in the attributes `operands` and `results`.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernels.h"
#include "xla/ffi/api/ffi.h"

#define HOPGYM_ALWAYS_INLINE inline __attribute__((always_inline))

namespace hopgym {

namespace ffi = xla::ffi;

// A list of `size` names, at most 63, separated by commas.
class Names {
 public:
  Names(std::string_view list, size_t size) : list_(list), size_(size) {}

  // The position of a name, or -1. Names looked up in the order of the list cost one
  // comparison each, with the literal as the compiler sees it.
  HOPGYM_ALWAYS_INLINE int64_t find(std::string_view name) {
    const size_t end = begin_ + name.size();
    if (end <= list_.size() && (end == list_.size() || list_[end] == ',') &&
        !std::memcmp(list_.data() + begin_, name.data(), name.size()))
      return take(end);
    return search(name);
  }

  // A name that was never looked up, or an empty one.
  std::string_view find_unused() {
    if (found_ + 1 == uint64_t(1) << size_) return {};
    begin_ = position_ = 0;
    for (size_t k = 0; k < size_; ++k) {
      const size_t begin = begin_, end = find_end();
      advance(end);
      if (!(found_ >> k & 1)) return list_.substr(begin, end - begin);
    }
    return {};
  }

 private:
  size_t find_end() const { return std::min(list_.find(',', begin_), list_.size()); }

  // Moves to the next name, or from the last to the first.
  void advance(size_t end) {
    begin_ = std::min(end + 1, list_.size());
    if (++position_ == size_) begin_ = position_ = 0;
  }

  int64_t take(size_t end) {
    const size_t position = position_;
    found_ |= uint64_t(1) << position;
    advance(end);
    return int64_t(position);
  }

  int64_t search(std::string_view name) {
    for (size_t tries = 0; tries < size_; ++tries) {
      const size_t end = find_end();
      if (list_.substr(begin_, end - begin_) == name) return take(end);
      advance(end);
    }
    return -1;
  }

  std::string_view list_;
  size_t size_, begin_ = 0, position_ = 0;
  uint64_t found_ = 0;
};

inline size_t count_names(std::string_view list) {
  return list.empty() ? 0 : 1 + std::count(list.begin(), list.end(), ',');
}

// All attributes of a call, in the order of their names.
struct Attributes {
  const XLA_FFI_Attrs* all;

  size_t size() const { return size_t(all->size); }
  std::string_view name(size_t k) const { return {all->names[k]->ptr, all->names[k]->len}; }

  HOPGYM_ALWAYS_INLINE bool is_named(size_t k, std::string_view name) const {
    const XLA_FFI_ByteSpan& found = *all->names[k];
    return found.len == name.size() && !std::memcmp(found.ptr, name.data(), name.size());
  }

  template <class T>
  std::optional<T> get(size_t k) const {
    ffi::DiagnosticEngine diagnostic;
    return ffi::AttrDecoding<T>::Decode(all->types[k], all->attrs[k], diagnostic);
  }
};

// A call as a handler reads it, one item after the other. The first item that is missing or
// does not fit is remembered: one check of `error` at the end is enough.
class CallFrame {
 public:
  CallFrame(const char* kernel, const ffi::RemainingArgs& operands,
            const ffi::RemainingRets& results, const Attributes& attributes)
      : kernel_(kernel),
        operands_(operands),
        results_(results),
        attributes_(attributes),
        operand_names_(attribute<std::string_view>("operands"), operands.size()),
        result_names_(attribute<std::string_view>("results"), results.size()) {}

  CallFrame(const CallFrame&) = delete;

  // The number of replicas, once `read_batch` has been called.
  int64_t replicas() const { return replicas_; }

  HOPGYM_ALWAYS_INLINE bool has_result(std::string_view name) {
    return result_names_.find(name) >= 0;
  }

  // Takes the batch, over which replicas run, from the shape of a result: all dimensions
  // before the last `rank`. Returns the first of those.
  int64_t read_batch(std::string_view name, size_t rank) {
    const auto result = get_result(result_names_.find(name), name);
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

  // An operand whose last dimensions must be `shape`; those before are the batch's or 1.
  template <class T>
  HOPGYM_ALWAYS_INLINE Operand<T> operand(std::string_view name,
                                          std::initializer_list<int64_t> shape) {
    return read_operand<T>(operand_names_.find(name), name, shape);
  }

  // A result, which has the whole batch.
  template <class T>
  HOPGYM_ALWAYS_INLINE T* result(std::string_view name, std::initializer_list<int64_t> shape) {
    return read_result<T>(result_names_.find(name), name, shape);
  }

  // An operand that becomes the result of the same name.
  template <class T>
  T* changed_in_place(std::string_view name, std::initializer_list<int64_t> shape) {
    T* const changed = result<T>(name, shape);
    if (operand<T>(name, shape).data != changed)
      refuse_buffer("operand", name, "must be changed in place");
    return changed;
  }

  // The search starts after the attribute read last: it is short for attributes that are
  // read in XLA's order, which is alphabetical.
  template <class T>
  HOPGYM_ALWAYS_INLINE T attribute(std::string_view name) {
    for (size_t tries = attributes_.size(); tries > 0; --tries) {
      const size_t k = next_attribute_;
      if (++next_attribute_ == attributes_.size()) next_attribute_ = 0;
      if (attributes_.is_named(k, name)) return read_attribute<T>(k, name);
    }
    refuse_buffer("attribute", name, "is missing");
    return T{};
  }

  void refuse(std::string_view what, std::string_view why) {
    if (problem_.empty())
      problem_ =
          "hopgym: " + std::string(kernel_) + ": " + std::string(what) + " " + std::string(why);
  }

  // The first problem, once everything that the kernel knows has been read.
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
                                             : std::is_same_v<T, bool>   ? ffi::PRED
                                                                         : ffi::S32;

  // Compares a few numbers without a call of memcmp.
  template <class Numbers>
  static bool are_equal(const Numbers& numbers, const int64_t* others) {
    for (int64_t number : numbers)
      if (number != *others++) return false;
    return true;
  }

  template <class T>
  Operand<T> read_operand(int64_t position, std::string_view name,
                          std::initializer_list<int64_t> shape) {
    Operand<T> operand{nullptr, 0, nullptr};
    if (position < 0) {
      refuse_buffer("operand", name, "is missing");
      return operand;
    }
    const auto found = operands_.get<ffi::AnyBuffer>(size_t(position));
    if (!found || found->element_type() != kDataType<T>) {
      refuse_buffer("operand", name, "has another dtype");
      return operand;
    }
    const auto dims = found->dimensions();
    const size_t lead = batch_.size();
    bool fits = dims.size() == lead + shape.size() && are_equal(shape, dims.begin() + lead);
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

  std::optional<ffi::AnyBuffer> get_result(int64_t position, std::string_view name) {
    if (position >= 0)
      if (auto found = results_.get<ffi::AnyBuffer>(size_t(position))) return **found;
    refuse_buffer("result", name, "is missing");
    return std::nullopt;
  }

  template <class T>
  T* read_result(int64_t position, std::string_view name,
                 std::initializer_list<int64_t> shape) {
    const auto found = get_result(position, name);
    if (!found) return nullptr;
    const auto dims = found->dimensions();
    const size_t lead = batch_.size();
    if (found->element_type() != kDataType<T>)
      refuse_buffer("result", name, "has another dtype");
    else if (dims.size() != lead + shape.size() || !are_equal(batch_, dims.begin()) ||
             !are_equal(shape, dims.begin() + lead))
      refuse_buffer("result", name, "has another shape");
    else
      return static_cast<T*>(found->untyped_data());
    return nullptr;
  }

  template <class T>
  T read_attribute(size_t k, std::string_view name) {
    ++attributes_read_;
    if (const auto found = attributes_.get<T>(k)) return *found;
    refuse_buffer("attribute", name, "has another type");
    return T{};
  }

  // Offsets of the data of each replica, for an operand whose batch is 1 in some dimensions.
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
    for (size_t k = 0; k < attributes_.size(); ++k)
      names += ' ' + std::string(attributes_.name(k));
    return "are not those that it knows:" + names;
  }

  void refuse_buffer(std::string_view kind, std::string_view name, std::string_view why) {
    if (problem_.empty()) refuse(std::string(kind) + " " + std::string(name), why);
  }

  const char* const kernel_;
  const ffi::RemainingArgs& operands_;
  const ffi::RemainingRets& results_;
  const Attributes& attributes_;
  std::string problem_;
  size_t attributes_read_ = 0, next_attribute_ = 0;
  Names operand_names_, result_names_;
  ffi::Span<const int64_t> batch_{nullptr, 0};
  int64_t replicas_ = 1;
  std::vector<std::vector<int64_t>> offsets_;
};

}  // namespace hopgym

template <>
struct xla::ffi::AttrDecoding<hopgym::Attributes> {
  using Type = hopgym::Attributes;
  static std::optional<Type> Decode(XLA_FFI_AttrType, void* attributes, DiagnosticEngine&) {
    return Type{static_cast<const XLA_FFI_Attrs*>(attributes)};
  }
};
