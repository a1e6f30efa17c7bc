// SPDX-License-Identifier: GPL-2.0-or-later
// The device header's atomics, compiled by clang for riscv64 (kernels/scopes.c) and run: old and new values of each.
#include <algorithm>
#include <fstream>
#include <iterator>

#include "support/compute_fixture.h"

extern "C" {
#include "kernels/scopes.h"
}

namespace tandem::test {
namespace {

template <typename U, typename S>
std::vector<U> results(U start, U operand) {
  const auto s = [](U value) { return static_cast<S>(value); };
  return {operand,
          static_cast<U>(start + operand),
          static_cast<U>(start & operand),
          static_cast<U>(start | operand),
          static_cast<U>(start ^ operand),
          static_cast<U>(std::min(s(start), s(operand))),
          static_cast<U>(std::max(s(start), s(operand))),
          std::min(start, operand),
          std::max(start, operand)};
}

TEST(DeviceHeader, AtomicsOfEveryScopeDoWhatTheirNamesSay) {
  Bench bench;
  bench.port.atomics().configure(exclusive(20));
  std::ifstream file(TANDEM_SCOPES_KERNEL, std::ios::binary);
  const std::vector<char> image(std::istreambuf_iterator<char>(file), {});
  ASSERT_FALSE(image.empty());
  for (size_t i = 0; i < image.size(); ++i) bench.translator.put<char>(kCode + i, image[i]);
  bench.set_size(1);
  bench.launch();
  bench.run();
  ASSERT_TRUE(bench.listener.errors.empty()) << bench.listener.errors[0].error << " at " << std::hex << bench.listener.errors[0].pc;
  const auto data = bench.translator.get<scope_data>(kData);
  const auto narrow = results<uint32_t, int32_t>(static_cast<uint32_t>(SCOPE_START), SCOPE_OPERAND);
  const auto wide = results<uint64_t, int64_t>(SCOPE_START, SCOPE_OPERAND);
  for (int scope = 0; scope < SCOPES; ++scope)
    for (size_t n = 0; n < SCOPE_OPERATIONS * SCOPE_ORDERS; ++n) {
      const size_t operation = n / SCOPE_ORDERS, order = n % SCOPE_ORDERS;
      const scope_result& got = data.done[scope][operation][order];
      EXPECT_EQ(got.old32, static_cast<uint32_t>(SCOPE_START)) << scope << " " << operation << " " << order;
      EXPECT_EQ(got.new32, narrow[operation]) << scope << " " << operation << " " << order;
      EXPECT_EQ(got.old64, SCOPE_START) << scope << " " << operation << " " << order;
      EXPECT_EQ(got.new64, wide[operation]) << scope << " " << operation << " " << order;
    }
  EXPECT_EQ(data.reserved32, SCOPES * 7u);
  EXPECT_EQ(data.reserved64, SCOPES * 9u);
}

}  // namespace
}  // namespace tandem::test
