// SPDX-License-Identifier: GPL-2.0-or-later
// What the checker reads is the guest's memory: any word of it may be any value, at any time. Whatever it says, each look ends, reads
// no host memory that it must not (the sanitizers watch), and the device does its work as if nobody had looked.
#include <gtest/gtest.h>

#include <random>

#include "check/process_truth.h"
#include "support/aql_producer.h"
#include "support/kernels.h"
#include "support/process_table_builder.h"

namespace tandem::test {
namespace {

constexpr uint64_t kPage = TANDEM_PAGE_BYTES, kData = AqlProducer::kData;
constexpr Pasid kPasid{{1}};

// Words that a search for mistakes likes: small ones, those near the ends, addresses of memory, and noise.
class Wild {
 public:
  Wild(FakeHost& host, uint64_t seed) : host_(host), random_(seed) {}

  uint64_t word() {
    const uint64_t any = random_();
    switch (random_() % 8) {
      case 0: return any % 8;
      case 1: return ~(any % 8);
      case 2: return uint64_t{1} << any % 64;
      case 3: case 4: case 5: return memory() | (any & 0xfff);
      default: return any;
    }
  }
  uint64_t memory() { return random_() % (host_.ram_bytes() / kPage) * kPage; }
  uint64_t below(uint64_t limit) { return random_() % limit; }
  void page(uint64_t address) {
    for (uint64_t at = 0; at < kPage; at += sizeof(uint64_t)) host_.at<uint64_t>(address + at) = word();
  }
  void some_words(uint64_t address, uint64_t bytes, uint64_t count) {
    for (; count; --count) host_.at<uint64_t>(address + below(bytes / 8) * 8) = word();
  }

 private:
  FakeHost& host_;
  std::mt19937_64 random_;
};

// ---- the truth by itself ----

class WildWords : public testing::TestWithParam<uint64_t> {
 protected:
  WildWords() {
    spaces.bind(kPasid, {.root = {}, .translation = TANDEM_TRANSLATION_MIRROR, .bus_pasid = 0, .check = linux.address()});
    table.map(kData, pages.take());
  }
  TlbEntry entry() {
    TlbEntry made;
    made.pasid = kPasid;
    made.bytes = uint64_t{1} << (12 + wild.below(10));
    made.va = gva(wild.below(TANDEM_VA_LIMIT)).align_down(made.bytes);
    made.device_address = wild.memory() & ~(made.bytes - 1);
    made.aperture = static_cast<tandem_aperture>(wild.below(3));
    made.write = wild.below(2);
    made.filled = ++moment;
    return made;
  }
  void look_at_everything() {
    const TlbEntry made = entry();
    TranslationRequest request;
    request.pasid = kPasid;
    request.va = made.va;
    truth.judge_fill({made, request});
    truth.judge({made, request});
    truth.judge_atomic(kPasid, made.va, wild.below(2));
    tandem_invalidate invalidation{};
    invalidation.pasid = kPasid.value;
    invalidation.cause = static_cast<uint16_t>(wild.word());
    invalidation.dirty = static_cast<uint32_t>(wild.word());
    truth.judge_acknowledgement(invalidation, made.va, made.va + made.bytes, static_cast<uint32_t>(wild.word()));
    truth.at_rest([](const TlbEntry&) { return true; });
  }

  FakeHost host{4 << 20};
  PageAllocator pages{host};
  ProcessTableBuilder table{host, pages};
  ProcessWindows linux{host, pages, table};
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, nullptr, 0};
  AddressSpaces spaces{16};
  Ring ring;
  Host clock{ops, &host};
  ProcessTruth truth{spaces, memory, ring, clock};
  Wild wild{host, GetParam()};
  uint64_t moment = 0;
};

TEST_P(WildWords, InTheFormatAreRefusedOrHarmless) {
  const tandem_check_format good = table.format();
  uint32_t accepted = 0;
  for (int n = 0; n < 200; ++n) {
    table.format() = good;
    wild.some_words(table.format_address(), sizeof good, 1 + wild.below(4));
    accepted += truth.set_format(table.format_address());
    for (int looks = 0; looks < 4; ++looks) look_at_everything();
  }
  EXPECT_GT(accepted, 0u) << "nothing was tried";
}

TEST_P(WildWords, InTheWindowsAndTablesEndEachLook) {
  ASSERT_TRUE(truth.set_format(table.format_address()));
  for (int n = 0; n < 200; ++n) {
    if (n % 4 == 0) wild.page(linux.address());
    else wild.some_words(linux.address(), kPage, 16);
    linux.shared().levels = static_cast<uint32_t>(wild.below(7));
    if (n % 2) linux.shared().root = table.root();
    wild.page(table.root());
    wild.page(wild.memory() | 0x100000);
    for (int looks = 0; looks < 4; ++looks) look_at_everything();
  }
  EXPECT_GT(truth.tally().judged, 0u) << "nothing was tried";
}

INSTANTIATE_TEST_SUITE_P(Seeds, WildWords, testing::Range<uint64_t>(1, 9));

// ---- the whole device ----

// What a wavefront has stored, while the guest tells the checker nonsense.
TEST(WildWordsOfADevice, ChangeNothingThatItDoes) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    tandem_model_config config = small_config();
    config.vram_bytes = 2 << 20;
    TestDriver driver(config);
    ProcessTableBuilder table(driver.host, driver.pages);
    ProcessWindows linux(driver.host, driver.pages, table);
    AqlProducer process(driver, 1, 0, {.check = linux.address()});
    const uint64_t data = process.table.map_new(kData, kPage);
    const uint64_t lives = driver.pages.take();
    table.format().vram_lives = lives;
    driver.write64(TANDEM_REG_CHECK_FORMAT, table.format_address());
    Wild wild(driver.host, seed);
    process.submit(process.dispatch(process.load_kernel(kernels::store_ids()), 64, 64));
    for (int n = 0; n < 200; ++n) {
      wild.page(linux.address());
      wild.page(lives);
      wild.page(table.root());
      if (n % 16 == 0) wild.page(table.format_address());
      if (n % 16 == 0) driver.write64(TANDEM_REG_CHECK_FORMAT, n % 32 ? wild.word() : table.format_address());
      driver.write32(TANDEM_REG_CHECK_AT_REST, static_cast<uint32_t>(wild.word()));
      driver.run(20);
      while (driver.events_waiting()) driver.take_event();
    }
    driver.settle();
    EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u) << "seed " << seed;
    for (uint64_t lane = 0; lane < 64; ++lane) EXPECT_EQ(driver.host.at<uint64_t>(data + 8 * lane), lane + 1) << "seed " << seed;
    driver.take_check_reports();
  }
}

}  // namespace
}  // namespace tandem::test
