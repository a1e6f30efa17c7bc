// SPDX-License-Identifier: GPL-2.0-or-later
// Ranges of addresses with a value each, none of which overlap: a new one takes the place of what it covers.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>

namespace tandem {

template <typename Value>
class RangeMap {
 public:
  void set(uint64_t start, uint64_t end, const Value& value) {
    if (start >= end) return;
    take(start, end, [](uint64_t, uint64_t, const Value&) {});
    const auto next = pieces_.lower_bound(start);
    if (next != pieces_.begin())
      if (Piece& before = std::prev(next)->second; before.end == start && before.value == value) {
        before.end = end;  // ranges that follow each other are one piece
        return;
      }
    pieces_.insert(next, {start, {end, value}});
  }
  // Removes [start, end), and calls visit(start, end, value) for each piece of it that was there.
  template <typename Visit>
  void take(uint64_t start, uint64_t end, Visit visit) {
    auto at = pieces_.upper_bound(start);
    if (at != pieces_.begin()) --at;
    while (at != pieces_.end() && at->first < end) {
      const uint64_t from = at->first;
      const Piece piece = at->second;
      if (piece.end <= start) {
        ++at;
        continue;
      }
      at = pieces_.erase(at);
      if (from < start) pieces_[from] = {start, piece.value};
      if (piece.end > end) at = pieces_.insert({end, {piece.end, piece.value}}).first;
      visit(from < start ? start : from, piece.end > end ? end : piece.end, piece.value);
    }
  }
  size_t size() const { return pieces_.size(); }
  void clear() { pieces_.clear(); }

 private:
  struct Piece {
    uint64_t end;
    Value value;
  };
  std::map<uint64_t, Piece> pieces_;  // by start
};

}  // namespace tandem
