// SPDX-License-Identifier: GPL-2.0-or-later
// The link between GPUs: a peer's VRAM behind page table entries and in copies, peers that come and go.
#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;
constexpr uint64_t kVram = 4 << 20;
constexpr uint32_t kPeer = 5;

tandem_model_config linked_config() {
  tandem_model_config config = small_config();
  config.fabric = 2;
  config.vram_bytes = 2 << 20;
  return config;
}

uint64_t on_peer(uint64_t offset, uint32_t peer = kPeer) {
  return offset | PageTableBuilder::aperture(TANDEM_APERTURE_PEER) | TANDEM_FIELD_PUT(TANDEM_PTE_PEER, peer);
}

struct Link : ::testing::Test {
  explicit Link(const tandem_model_config& config = linked_config()) : driver(config, 32 << 20), other(4096, kVram) {
    driver.host.peers[kPeer] = &other;
    set_peers({kPeer});
  }
  void set_peers(const std::vector<uint32_t>& numbers) {
    std::vector<tandem_model_peer> peers;
    for (const uint32_t number : numbers) peers.push_back({number, nullptr, 0});
    tandem_model_set_peers(driver.model(), peers.data(), peers.size());
  }
  template <typename T>
  T& on_other(uint64_t offset) {
    return *reinterpret_cast<T*>(other.vram(offset));
  }
  bool packet_done() { return driver.counter(TANDEM_COUNTER_PACKETS) > packets_seen && ++packets_seen; }

  TestDriver driver;
  FakeHost other;
  uint64_t packets_seen = 0;
};

TEST(LinkOfNone, AGpuOnNoLinkSaysSoAndReachesNoPeer) {
  TestDriver driver;
  EXPECT_EQ(driver.read32(TANDEM_REG_FABRIC), TANDEM_FABRIC_NONE);
  EXPECT_EQ(driver.read32(TANDEM_REG_FABRIC_PEERS), 0u);
  AqlProducer process(driver);
  process.table.map(kData, on_peer(0));
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.fault().reason, TANDEM_FAULT_PAGE_DMA);
}

TEST(LinkOfNone, ANumberBeyondTheLinkIsRefused) {
  tandem_model_config config = linked_config();
  config.fabric = TANDEM_FABRIC_LIMIT;
  EXPECT_THROW(TestDriver{config}, std::runtime_error);
}

TEST_F(Link, RegistersTellOwnNumberAndThoseOfTheOthers) {
  EXPECT_EQ(driver.read32(TANDEM_REG_FABRIC), 2u);
  EXPECT_EQ(driver.read32(TANDEM_REG_FABRIC_PEERS), 1u << kPeer);
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
  EXPECT_EQ(driver.read32(TANDEM_REG_FABRIC_PEERS), 1u << kPeer) << "the link does not know of resets";
  set_peers({0, 15});
  EXPECT_EQ(driver.read32(TANDEM_REG_FABRIC_PEERS), 0x8001u);
}

TEST_F(Link, AKernelStoresToAPeersMemoryAndTheHostIsToldWhose) {
  AqlProducer process(driver);
  process.table.map(kData, on_peer(3 * 4096));
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  driver.settle();
  ASSERT_TRUE(packet_done());
  for (uint64_t n = 0; n < 32; ++n) EXPECT_EQ(on_other<uint64_t>(3 * 4096 + 8 * n), n + 1);
  EXPECT_EQ(driver.host.peer_stores, (std::vector<FakeHost::PeerStore>{{kPeer, 3 * 4096, 256}}));
}

TEST_F(Link, ALargeLeafReachesAllOfItsBytes) {
  AqlProducer process(driver);
  constexpr uint64_t kFar = (2 << 20) - 4096;
  process.table.map(kData, on_peer(2 << 20), kReadWrite, 1);
  process.table.map_new(kData + (2 << 20), 4096);
  auto packet = process.dispatch(process.load_kernel(kernels::store_ids()));
  packet.kernarg_address = kData + kFar;
  process.submit(packet);
  driver.settle();
  ASSERT_TRUE(packet_done());
  EXPECT_EQ(on_other<uint64_t>((2 << 20) + kFar + 8), 2u);
  const auto fills = driver.host.traced(TANDEM_TRACE_FILL);
  EXPECT_TRUE(std::any_of(fills.begin(), fills.end(), [](const auto& fill) { return fill.bytes == 2 << 20; }));
}

TEST_F(Link, AMisnamedOrAbsentPeerIsAFaultThatItsArrivalMends) {
  AqlProducer process(driver);
  for (const uint32_t wrong : {2u, 7u}) {  // itself; nobody
    process.table.map(kData, on_peer(0, wrong));
    process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
    driver.settle();
    ASSERT_EQ(driver.faults_waiting(), 1u) << wrong;
    EXPECT_EQ(driver.take_fault().reason, TANDEM_FAULT_PAGE_DMA);
    process.table.map(kData, on_peer(0));
    driver.replay(1);
    driver.settle();
    EXPECT_TRUE(packet_done());
    driver.invalidate(1, kData, kData + 4096);
  }
}

TEST_F(Link, BeyondAPeersMemoryThereIsNothing) {
  AqlProducer process(driver);
  process.table.map(kData, on_peer(kVram));
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.fault().reason, TANDEM_FAULT_PAGE_DMA);
}

// Without PCIe AtomicOps an atomic on system memory is a plain load, modify and store; on the link it is an atomic.
TEST(LinkAtomics, ArePlainHostAtomicsOnAPeerWhateverPcieCan) {
  tandem_model_config config = linked_config();
  config.atomics = TANDEM_ATOMICS_EXCLUSIVE;
  config.atomic_pause = 200;
  TestDriver driver(config);
  FakeHost other(4096, kVram);
  driver.host.peers[kPeer] = &other;
  const tandem_model_peer peer{kPeer, nullptr, 0};
  tandem_model_set_peers(driver.model(), &peer, 1);
  AqlProducer process(driver);
  process.table.map(kData, on_peer(0));
  process.table.map(kData + 4096, on_peer(4096));
  auto packet = process.dispatch(process.load_kernel(kernels::count()), 128);
  packet.completion_signal = kData + 4096;
  auto& signal = *reinterpret_cast<tandem_signal*>(other.vram(4096));
  signal.value = 9;
  process.submit(packet);
  driver.settle();
  EXPECT_EQ(*reinterpret_cast<uint64_t*>(other.vram()), 128u);
  EXPECT_EQ(signal.value, 8);
}

TEST_F(Link, APeerThatLeavesTakesItsTranslationsAlong) {
  AqlProducer process(driver);
  process.table.map(kData, on_peer(0));
  const auto packet = process.dispatch(process.load_kernel(kernels::store_ids()));
  process.submit(packet);
  driver.settle();
  ASSERT_TRUE(packet_done());
  set_peers({});
  driver.host.peers.clear();
  driver.host.peer_stores.clear();
  process.submit(packet);
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.fault().reason, TANDEM_FAULT_PAGE_DMA);
  EXPECT_TRUE(driver.host.peer_stores.empty());
}

TEST(LinkStores, QueuedOnesAreWrittenBeforeThePeerIsGone) {
  tandem_model_config config = linked_config();
  config.store_queue_depth = 8;
  config.compute_units = 1;
  TestDriver driver(config);
  FakeHost other(4096, kVram);
  driver.host.peers[kPeer] = &other;
  const tandem_model_peer peer{kPeer, nullptr, 0};
  tandem_model_set_peers(driver.model(), &peer, 1);
  AqlProducer process(driver);
  process.table.map(kData, on_peer(0));
  process.submit(process.dispatch(process.load_kernel(kernels::store_and_spin()), 1, 1));
  const auto written = [&] {
    return std::count(reinterpret_cast<uint64_t*>(other.vram()), reinterpret_cast<uint64_t*>(other.vram()) + 8, 7u);
  };
  for (int turn = 0; turn < 100 && driver.counter(TANDEM_COUNTER_STORES) == 0; ++turn) driver.run(64);
  ASSERT_LT(written(), 8) << "the store queue held no store: nothing is tested";
  tandem_model_set_peers(driver.model(), nullptr, 0);
  EXPECT_EQ(written(), 8);
}

TEST_F(Link, CopiesAndFillsReachPeers) {
  const uint64_t ram = driver.pages.take(8192);
  std::memset(driver.host.ram(ram), 0x11, 8192);
  const auto copy = [&](tandem_command_type type, uint64_t from, int from_aperture, uint64_t to, int to_aperture) {
    tandem_command command = driver.command(type);
    auto& c = command.u.copy;
    c.source = from;
    c.source_aperture = static_cast<uint8_t>(from_aperture);
    c.source_peer = from_aperture == TANDEM_APERTURE_PEER ? kPeer : 0;
    c.destination = to;
    c.destination_aperture = static_cast<uint8_t>(to_aperture);
    c.destination_peer = to_aperture == TANDEM_APERTURE_PEER ? kPeer : 0;
    c.bytes = 5000;
    driver.execute(command);
    EXPECT_EQ(driver.events_waiting(), 0u);
  };
  copy(TANDEM_COMMAND_COPY, ram, TANDEM_APERTURE_SYSTEM, 100, TANDEM_APERTURE_PEER);
  copy(TANDEM_COMMAND_COPY, 100, TANDEM_APERTURE_PEER, 100, TANDEM_APERTURE_VRAM);
  copy(TANDEM_COMMAND_COPY, 100, TANDEM_APERTURE_VRAM, 1 << 20, TANDEM_APERTURE_PEER);
  copy(TANDEM_COMMAND_FILL, 0x2222222222222222, 0, 3 << 20, TANDEM_APERTURE_PEER);
  const auto all = [&](std::byte* at, int value) {
    return std::all_of(at, at + 5000, [&](std::byte byte) { return byte == std::byte(value); }) &&
           at[-1] == std::byte{0} && at[5000] == std::byte{0};
  };
  EXPECT_TRUE(all(other.vram(100), 0x11));
  EXPECT_TRUE(all(driver.host.vram(100), 0x11));
  EXPECT_TRUE(all(other.vram(1 << 20), 0x11));
  EXPECT_TRUE(all(other.vram(3 << 20), 0x22));
  uint64_t told = 0;
  for (const auto& store : driver.host.peer_stores) told += store.bytes;
  EXPECT_EQ(told, 15000u);
}

TEST_F(Link, CopiesThatNameNoPeerAreRefused) {
  const auto error_of = [&](auto&& spoil) {
    tandem_command copy = driver.command(TANDEM_COMMAND_COPY);
    copy.u.copy.source = driver.pages.take();
    copy.u.copy.destination_aperture = TANDEM_APERTURE_PEER;
    copy.u.copy.destination_peer = kPeer;
    copy.u.copy.bytes = 4096;
    spoil(copy);
    driver.execute(copy);
    return driver.events_waiting() ? static_cast<int>(driver.take_event().code) : 0;
  };
  using Command = tandem_command&;
  EXPECT_EQ(error_of([](Command) {}), 0);
  EXPECT_EQ(error_of([](Command c) { c.u.copy.destination_peer = 16; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) { c.u.copy.source_peer = 1; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) { c.u.copy.destination_peer = 6; }), TANDEM_COMMAND_COPY_FAILED) << "nobody";
  EXPECT_EQ(error_of([](Command c) { c.u.copy.destination = kVram - 100; }), TANDEM_COMMAND_COPY_FAILED);
  EXPECT_EQ(error_of([](Command c) { c.u.copy.destination = 1ULL << 56; }), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error_of([](Command c) {
              c.u.copy.source_aperture = TANDEM_APERTURE_PEER;
              c.u.copy.source_peer = kPeer;
              c.u.copy.source = 100;
              c.u.copy.destination = 200;
            }), TANDEM_COMMAND_BAD_PARAMETER) << "overlapping";
}

TEST_F(Link, APeerThatLeavesInTheMiddleFailsTheCopy) {
  tandem_command copy = driver.command(TANDEM_COMMAND_COPY);
  copy.u.copy.source_aperture = TANDEM_APERTURE_PEER;
  copy.u.copy.source_peer = kPeer;
  copy.u.copy.destination_aperture = TANDEM_APERTURE_VRAM;
  copy.u.copy.bytes = 1 << 20;
  driver.send(copy);
  ASSERT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_COPY_BYTES) > 0; }));
  set_peers({});
  driver.host.peers.clear();
  driver.settle();
  EXPECT_EQ(driver.status().command_done, copy.seqno);
  EXPECT_LT(driver.counter(TANDEM_COUNTER_COPY_BYTES), 1u << 20);
  EXPECT_EQ(driver.take_event().code, TANDEM_COMMAND_COPY_FAILED);
}

}  // namespace
}  // namespace tandem::test
