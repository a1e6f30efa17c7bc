// SPDX-License-Identifier: GPL-2.0-or-later
// Address spaces behind the IOMMU under a driver, an IOMMU and a Linux that do everything at every moment: pages move while a kernel
// counts in them, answers come late and in any order, and at the end not one count is missing. And under hosts that break the rules.
#include <random>

#include "support/kernels.h"
#include "support/sva.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;
constexpr uint64_t kPage = TANDEM_PAGE_BYTES;
constexpr uint32_t kPages = 16;
constexpr uint32_t kTurns = 32;   // of the kernel's loop, multiple of kPages
constexpr uint32_t kItems = 128;
constexpr std::byte kScribble{0xdd};

// Each lane adds 1 to the first word of every page, kTurns / kPages times, and at last stores its id + 1 to a word of its own.
kernels::Code count_everywhere() {
  using namespace kernels;
  return {csrr(t0, TANDEM_CSR_GLOBAL_ID_X),
          addi(t2, x0, 1),
          addi(a1, x0, kTurns),
          add(t1, t0, a1),  // the loop
          andi(t1, t1, kPages - 1),
          slli(t1, t1, TANDEM_PAGE_SHIFT),
          add(t1, a0, t1),
          amo(0, doubleword, x0, t2, t1),
          addi(a1, a1, -1),
          b_type(1, a1, x0, -6 * 4),
          slli(a2, t0, 3),
          add(t1, t1, a2),
          addi(t0, t0, 1),
          sd(t0, t1, 8),
          ret()};
}

class Linux {
 public:
  Linux(Sva& sva, uint64_t seed) : sva_(sva), random_(seed) {
    sva.process.table.map_new(kData, kPages * kPage);
    sva.iommu.service = [this](const FakeIommu::Group& group) { return serve(group); };
    sva.driver.host.on_ats_request = [this, take = sva.driver.host.on_ats_request](const tandem_ats_request& request) {
      take(request);
      if (chance(2)) early_answers_[request.id] = sva_.iommu.translate(request);  // and it may be long on its way
    };
  }

  void do_something() {
    switch (random_() % 12) {
      case 0: return begin_move(any_page());
      case 1: return finish_move(any_page());
      case 2: return protect(any_page());
      case 3: return sva_.iommu.invalidate(kBus, random_() % 64 * kPage + kData - 24 * kPage, (1 + random_() % 8) * kPage);
      case 4: return sva_.iommu.invalidate(99, 0, 0, chance(8));
      case 5: return answer_a_group();
      case 6:
      case 7:
      case 8: return answer_a_request();
      default: sva_.driver.run(1 + random_() % 40);
    }
  }
  void finish() {
    for (uint64_t page = 0; page < kPages; ++page) finish_move(kData + page * kPage);
  }
  // Of pages given back: nothing was stored to them any more.
  void check_old_pages() {
    for (const uint64_t page : old_pages_) {
      const std::byte* bytes = sva_.driver.host.ram(page);
      EXPECT_TRUE(std::all_of(bytes, bytes + kPage, [](std::byte byte) { return byte == kScribble; })) << "page " << page;
    }
  }
  size_t moves() const { return old_pages_.size(); }

 private:
  bool chance(uint32_t of) { return random_() % of == 0; }
  uint64_t any_page() { return kData + random_() % kPages * kPage; }

  // As migration does: no entry, invalidation, and only then the copy.
  void begin_move(uint64_t va) {
    uint64_t& entry = sva_.process.table.entry(va);
    if (!(entry & TANDEM_PTE_VALID) || old_pages_.size() == 600) return;
    const uint64_t from = entry & TANDEM_PTE_ADDRESS;
    entry = 0;
    sva_.iommu.invalidate(kBus, va, kPage);
    const uint64_t to = sva_.driver.pages.take();
    std::memcpy(sva_.driver.host.ram(to), sva_.driver.host.ram(from), kPage);
    std::memset(sva_.driver.host.ram(from), static_cast<int>(kScribble), kPage);
    old_pages_.push_back(from);
    moving_[va] = to;
  }
  void finish_move(uint64_t va) {
    if (const auto moved = moving_.extract(va)) sva_.process.table.map(va, moved.mapped());
  }
  void protect(uint64_t va) {
    uint64_t& entry = sva_.process.table.entry(va);
    entry &= ~(TANDEM_PTE_WRITE | TANDEM_PTE_ATOMIC | TANDEM_PTE_DIRTY);
    sva_.iommu.invalidate(kBus, va, kPage);
  }
  uint32_t serve(const FakeIommu::Group& group) {
    for (const tandem_page_request& request : group) {
      if (chance(4)) continue;  // said to be served, and is not
      finish_move(request.address);
      if (request.write) sva_.process.table.entry(request.address) |= TANDEM_PTE_WRITE;  // and no invalidation
    }
    return TANDEM_PAGE_RESPONSE_SUCCESS;
  }
  void answer_a_request() {
    if (sva_.iommu.asked.empty()) return;
    const tandem_ats_request request = sva_.iommu.asked[random_() % sva_.iommu.asked.size()];
    if (const auto early = early_answers_.extract(request.id)) sva_.iommu.answer(request, early.mapped());
    else sva_.iommu.answer(request);
  }
  void answer_a_group() {
    if (sva_.iommu.groups.empty()) return;
    const auto group = *std::next(sva_.iommu.groups.begin(), static_cast<long>(random_() % sva_.iommu.groups.size()));
    sva_.iommu.respond(group.second, serve(group.second));
  }

  Sva& sva_;
  std::mt19937_64 random_;
  std::map<uint64_t, tandem_ats_answer> early_answers_;
  std::map<uint64_t, uint64_t> moving_;  // va -> its new page, which is not mapped yet
  std::vector<uint64_t> old_pages_;
};

TEST(SvaStress, NoCountIsLostWhilePagesMove) {
  size_t moves = 0;
  uint64_t stale = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    tandem_model_config config = small_config();
    config.trace = false;
    config.l2_latency = seed % 3;
    config.store_queue_depth = seed % 2 * 4;
    config.load_reorder = seed % 5 == 0;
    config.l1_sets = config.l2_sets = 2;
    config.atc_sets = config.atc_ways = 2;
    config.seed = seed;
    Sva sva(config, {.allowance = static_cast<uint32_t>(1 + seed % 9)});
    Linux os(sva, seed);
    sva.submit(count_everywhere(), kItems);
    for (int step = 0; step < 200000 && !sva.done(); ++step) os.do_something();
    os.finish();
    ASSERT_TRUE(sva.done()) << "seed " << seed;
    for (uint64_t page = 0; page < kPages; ++page)
      EXPECT_EQ(sva.at(kData + page * kPage), kItems * kTurns / kPages) << "seed " << seed << ", page " << page;
    for (uint64_t item = 0; item < kItems; ++item)
      EXPECT_EQ(sva.at(kData + (item + 1) % kPages * kPage + 8 * item + 8), item + 1) << "seed " << seed;
    os.check_old_pages();
    moves += os.moves();
    stale += sva.driver.counter(TANDEM_COUNTER_ATS_STALE);
  }
  EXPECT_GT(moves, 1000u) << "nothing is tested";
  EXPECT_GT(stale, 100u) << "nothing is tested";
}

// Answers, responses and invalidations that nobody asked for, address spaces that come and go: the model does not break, and works
// afterwards.
TEST(SvaStress, HostsThatBreakTheRulesDoNotBreakTheModel) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    tandem_model_config config = small_config();
    config.trace = seed % 2;
    config.l2_latency = seed % 3;
    TestDriver driver(config, 16 << 20, 8);
    uint64_t last_id = 0;
    driver.host.on_ats_request = [&](const tandem_ats_request& request) { last_id = request.id; };
    uint32_t last_group = 0;
    driver.host.on_page_request = [&](const tandem_page_request& request) { last_group = request.group; };
    const auto pick = [&](std::initializer_list<uint64_t> values) { return values.begin()[random() % values.size()]; };
    const auto any = [&] {
      return pick({0, 1, 4095, kPage, 2 * kPage, 65536, 2 << 20, 1ULL << 30, 1ULL << 63, ~0ULL, TANDEM_VA_LIMIT, kData,
                   kData + kPage, AqlProducer::kRing, AqlProducer::kIndices, random(), random() % (16 << 20) & ~4095ULL});
    };
    const auto bus = [&] { return static_cast<uint32_t>(pick({5, 6, 0, TANDEM_NO_PASID, random()})); };
    tandem_model_set_ats(driver.model(), true, 4);
    for (int step = 0; step < 3000; ++step) {
      switch (random() % 12) {
        case 0: tandem_model_set_ats(driver.model(), random() % 4, static_cast<uint32_t>(pick({0, 1, 4, 700}))); break;
        case 1: {
          const tandem_atc_invalidation invalidation{.address = any(), .bytes = any(), .pasid = bus(), .global = random() % 8 == 0,
                                                     .waited_ns = any()};
          tandem_model_atc_invalidate(driver.model(), &invalidation);
          break;
        }
        case 2: tandem_model_page_response(driver.model(), bus(), static_cast<uint32_t>(pick({last_group, 0, 511, 512, random()})),
                                           static_cast<uint32_t>(pick({0, 0, 1, 15, random()}))); break;
        case 3:
        case 4:
        case 5: {
          const tandem_ats_answer answer{.translated = any(), .bytes = any(), .read = random() % 4 != 0, .write = random() % 2 != 0};
          tandem_model_ats_answer(driver.model(), pick({last_id, last_id, last_id - 1, 0, random()}), &answer);
          break;
        }
        case 6: {
          const auto pasid = static_cast<uint32_t>(1 + random() % 2);
          driver.send(driver.bind_sva_command(pasid, 4 + pasid));
          tandem_command create = driver.command(TANDEM_COMMAND_QUEUE_CREATE, pasid);
          create.u.queue.queue = create.u.queue.doorbell = pasid;
          create.u.queue.ring = AqlProducer::kRing;
          create.u.queue.indices = AqlProducer::kIndices;
          create.u.queue.ring_order = 3;
          create.u.queue.retry_limit = static_cast<uint32_t>(random() % 3);
          driver.send(create);
          break;
        }
        case 7: if (random() % 4 == 0) driver.send(driver.command(TANDEM_COMMAND_UNBIND, static_cast<uint32_t>(1 + random() % 2))); break;
        case 8: {
          const uint64_t pasid = 1 + random() % 2;
          tandem_model_mmio_write(driver.model(), TANDEM_BAR_DOORBELLS,
                                  pasid * TANDEM_DOORBELL_PAGE_SIZE + pasid * TANDEM_DOORBELL_BYTES, random() % 8, 8);
          break;
        }
        case 9: if (random() % 64 == 0) tandem_model_memory_map_changed(driver.model()); break;
        case 10: tandem_model_describe(driver.model(), "all", [](void*, const char*) {}, nullptr); break;
        default: driver.run(random() % 200);
      }
      if (driver.events_waiting()) driver.take_event();
      if (driver.read32(TANDEM_REG_STATUS) & TANDEM_STATUS_STOPPED || random() % 500 == 0) {
        tandem_model_reset(driver.model(), TANDEM_RESET_DRIVER);
        driver.pages.rewind();
        driver.set_up();
      }
    }
    tandem_model_reset(driver.model(), TANDEM_RESET_POWER);
    driver.pages.rewind();
    driver.set_up();
    FakeIommu iommu(driver);
    AqlProducer process(driver, 1, 0, {.bus_pasid = kBus});
    iommu.attach(kBus, process.table);
    const uint64_t page = process.table.map_new(kData, kPage);
    process.submit(process.dispatch(process.load_kernel(kernels::store_ids()), 1, 1));
    iommu.settle();
    EXPECT_EQ(driver.host.at<uint64_t>(page), 1u) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tandem::test
