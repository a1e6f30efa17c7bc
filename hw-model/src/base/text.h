// SPDX-License-Identifier: GPL-2.0-or-later
// Text for logs and the monitor. (std::format is not in gcc 12, and the model needs no library for so little.)
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>

namespace tandem {

inline std::string vformat(const char* pattern, va_list arguments) {
  char text[512];
  const int length = vsnprintf(text, sizeof text, pattern, arguments);
  if (length < 0) return {};
  return std::string(text, static_cast<size_t>(length) < sizeof text ? static_cast<size_t>(length) : sizeof text - 1);
}

// printf into a string; lines longer than 511 characters are cut.
[[gnu::format(printf, 1, 2)]] inline std::string format(const char* pattern, ...) {
  va_list arguments;
  va_start(arguments, pattern);
  std::string text = vformat(pattern, arguments);
  va_end(arguments);
  return text;
}

}  // namespace tandem
