// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/copy_witness.h"

#include <gtest/gtest.h>

#include <cstring>

namespace tandem::test {
namespace {

struct CopyWitness : ::testing::Test {
  CopyWitness() { std::memset(source, 0x11, sizeof source); }
  std::byte source[64], destination[64]{};
};

TEST_F(CopyWitness, ACopyThatArrivedIsWhole) {
  const tandem::CopyWitness witness(source, sizeof source);
  std::memcpy(destination, source, sizeof source);
  EXPECT_EQ(witness.first_lost(source, destination), std::nullopt);
}

TEST_F(CopyWitness, TheFirstByteThatIsMissingIsNamed) {
  const tandem::CopyWitness witness(source, sizeof source);
  std::memcpy(destination, source, 40);
  EXPECT_EQ(witness.first_lost(source, destination), 40u);
}

TEST_F(CopyWitness, WhatSomebodyStoredAtTheSourceMeanwhileProvesNothing) {
  const tandem::CopyWitness witness(source, sizeof source);
  source[3] = std::byte{0x22};
  std::memcpy(destination, source, sizeof source);
  source[7] = std::byte{0x33};
  EXPECT_EQ(witness.first_lost(source, destination), std::nullopt);
}

}  // namespace
}  // namespace tandem::test
