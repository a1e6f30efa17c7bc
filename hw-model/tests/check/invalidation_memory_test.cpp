// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/invalidation_memory.h"

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

std::shared_ptr<const Invalidation> invalidation(uint32_t pasid, uint64_t page, uint64_t moment) {
  auto made = std::make_shared<Invalidation>();
  made->pasid = Pasid{{pasid}};
  made->start = gva(page * TANDEM_PAGE_BYTES);
  made->end = made->start + TANDEM_PAGE_BYTES;
  made->moment = moment;
  return made;
}

TEST(InvalidationMemory, AddressSpacesAreApart) {
  InvalidationMemory memory;
  memory.add(invalidation(1, 0, 5));
  EXPECT_NE(memory.after(pasid(1), 4, gva(0), 1), nullptr);
  EXPECT_EQ(memory.after(pasid(2), 4, gva(0), 1), nullptr);
}

TEST(InvalidationMemory, IsBoundedHoweverManyAddressSpacesThereAre) {
  constexpr uint32_t kSpaces = 1000;
  InvalidationMemory memory(500);
  uint64_t moment = 0;
  for (uint32_t n = 1; n <= kSpaces; ++n)
    for (uint64_t page = 0; page < 6; page += 2) {
      memory.add(invalidation(n, page, ++moment));
      ASSERT_LE(memory.pieces(), 500u);
    }
  EXPECT_EQ(memory.after(pasid(1), 0, gva(0), 1 << 20), nullptr) << "the oldest are forgotten";
  EXPECT_EQ(memory.after(pasid(kSpaces), 0, gva(0), 1 << 20)->moment, moment);
  EXPECT_GE(memory.pieces(), 125u);
}

TEST(InvalidationMemory, CountsWhatItHas) {
  InvalidationMemory memory;
  memory.add(invalidation(1, 0, 1));
  memory.add(invalidation(1, 0, 2));
  memory.add(invalidation(2, 0, 3));
  EXPECT_EQ(memory.pieces(), 2u) << "the same page again is the same piece";
  memory.reset();
  EXPECT_EQ(memory.pieces(), 0u);
}

}  // namespace
}  // namespace tandem::test
