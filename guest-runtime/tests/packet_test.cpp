// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets and rings, on the host: what lies in memory after each step, read back as the device would. */
#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

extern "C" {
#include "../src/packet.h"
}

namespace {

const tandem_kernel_descriptor kernel = [] {
	tandem_kernel_descriptor made{};

	made.magic = TANDEM_KERNEL_MAGIC;
	made.abi_major = TANDEM_ABI_MAJOR;
	made.private_bytes = 512;
	return made;
}();

tandem_launch launch_of(std::uint32_t items, std::uint16_t group)
{
	tandem_launch launch{};

	launch.kernel = &kernel;
	launch.grid[0] = items;
	launch.group[0] = group;
	return launch;
}

template <typename Layout> Layout as(const tandem_packet &packet)
{
	Layout layout;

	static_assert(sizeof(layout) == sizeof(packet));
	std::memcpy(&layout, &packet, sizeof(layout));
	return layout;
}

std::uint64_t type_of(std::uint16_t header)
{
	return TANDEM_FIELD_GET(TANDEM_PACKET_TYPE, header);
}

TEST(Packet, DispatchHoldsWhatTheLaunchSays)
{
	alignas(64) tandem_signal done;
	int arguments;
	tandem_launch launch = launch_of(1000, 64);
	tandem_packet packet;

	tandem_signal_init(&done, 1);
	launch.grid[1] = 7;
	launch.group_bytes = 128;
	launch.barrier = true;
	launch.arguments = &arguments;
	launch.completion = &done;
	ASSERT_EQ(tandem_packet_dispatch(&launch, 4096, &packet), 0);
	auto dispatch = as<tandem_dispatch_packet>(packet);
	EXPECT_EQ(type_of(dispatch.header), TANDEM_PACKET_KERNEL_DISPATCH);
	EXPECT_TRUE(dispatch.header & TANDEM_PACKET_BARRIER);
	EXPECT_EQ(TANDEM_FIELD_GET(TANDEM_PACKET_RELEASE, dispatch.header), TANDEM_FENCE_SYSTEM);
	EXPECT_EQ(dispatch.setup, 2);
	EXPECT_EQ(dispatch.grid_size[0], 1000u);
	EXPECT_EQ(dispatch.grid_size[1], 7u);
	EXPECT_EQ(dispatch.grid_size[2], 1u);
	EXPECT_EQ(dispatch.workgroup_size[0], 64);
	EXPECT_EQ(dispatch.workgroup_size[1], 1);
	EXPECT_EQ(dispatch.group_bytes, 128u);
	EXPECT_EQ(dispatch.private_bytes, 512u);
	EXPECT_EQ(dispatch.kernel_object, reinterpret_cast<std::uintptr_t>(&kernel));
	EXPECT_EQ(dispatch.kernarg_address, reinterpret_cast<std::uintptr_t>(&arguments));
	EXPECT_EQ(dispatch.completion_signal, reinterpret_cast<std::uintptr_t>(&done));
}

TEST(Packet, DispatchRefusesTooLargeAWorkgroup)
{
	tandem_launch launch = launch_of(4096, 1024);
	tandem_packet packet;

	EXPECT_EQ(tandem_packet_dispatch(&launch, 4096, &packet), 0);
	launch.group[1] = 2;
	EXPECT_EQ(tandem_packet_dispatch(&launch, 4096, &packet), TANDEM_ERROR_INVALID);
	EXPECT_NE(std::strstr(tandem_error_text(), "2048"), nullptr) << tandem_error_text();
}

TEST(Packet, DispatchRefusesAKernelWithoutRoomForItsStack)
{
	tandem_launch launch = launch_of(1, 1);
	tandem_packet packet;

	EXPECT_EQ(tandem_packet_dispatch(&launch, 511, &packet), TANDEM_ERROR_INVALID);
	EXPECT_EQ(tandem_packet_dispatch(&launch, 512, &packet), 0);
	launch.private_bytes = UINT32_MAX;
	EXPECT_EQ(tandem_packet_dispatch(&launch, UINT32_MAX - 1, &packet), TANDEM_ERROR_INVALID) << "the sum must not wrap";
}

TEST(Packet, RefusesAMisalignedSignal)
{
	alignas(64) unsigned char memory[128];
	tandem_launch launch = launch_of(1, 1);
	tandem_packet packet;

	launch.completion = reinterpret_cast<tandem_signal *>(memory + 8);
	EXPECT_EQ(tandem_packet_dispatch(&launch, 4096, &packet), TANDEM_ERROR_INVALID);
	EXPECT_EQ(tandem_packet_fill(memory, 0, 8, launch.completion, &packet), TANDEM_ERROR_INVALID);
}

TEST(Packet, CopyRefusesOverlapAndTakesNeighbours)
{
	std::vector<unsigned char> memory(256);
	tandem_packet packet;

	EXPECT_EQ(tandem_packet_copy(&memory[64], &memory[0], 64, nullptr, &packet), 0);
	EXPECT_EQ(tandem_packet_copy(&memory[0], &memory[64], 64, nullptr, &packet), 0);
	EXPECT_EQ(tandem_packet_copy(&memory[63], &memory[0], 64, nullptr, &packet), TANDEM_ERROR_INVALID);
	EXPECT_EQ(tandem_packet_copy(&memory[0], &memory[63], 64, nullptr, &packet), TANDEM_ERROR_INVALID);
	EXPECT_EQ(tandem_packet_copy(&memory[0], &memory[0], 0, nullptr, &packet), 0);
}

TEST(Packet, FillHoldsPatternAndOperation)
{
	tandem_packet packet;

	ASSERT_EQ(tandem_packet_fill(&packet, 0x1122334455667788, 64, nullptr, &packet), 0);
	auto copy = as<tandem_copy_packet>(packet);
	EXPECT_EQ(type_of(copy.header), TANDEM_PACKET_VENDOR);
	EXPECT_EQ(copy.operation, TANDEM_COPY_FILL);
	EXPECT_EQ(copy.source, 0x1122334455667788u);
	EXPECT_EQ(copy.bytes, 64u);
	EXPECT_EQ(tandem_packet_fill(&packet, 0, 63, nullptr, &packet), TANDEM_ERROR_INVALID);
}

TEST(Packet, BarrierTakesAtMostFiveSignals)
{
	alignas(64) tandem_signal signals[6];
	tandem_signal *list[6];
	tandem_packet packet;

	for (int i = 0; i < 6; i++)
		tandem_signal_init(list[i] = &signals[i], 1);
	ASSERT_EQ(tandem_packet_barrier(TANDEM_BARRIER_ANY, list, 5, nullptr, &packet), 0);
	auto barrier = as<tandem_barrier_packet>(packet);
	EXPECT_EQ(type_of(barrier.header), TANDEM_PACKET_BARRIER_OR);
	EXPECT_EQ(barrier.dependency[4], reinterpret_cast<std::uintptr_t>(&signals[4]));
	EXPECT_EQ(tandem_packet_barrier(TANDEM_BARRIER_ALL, list, 6, nullptr, &packet), TANDEM_ERROR_INVALID);
	EXPECT_EQ(tandem_packet_barrier(static_cast<tandem_barrier_kind>(0), list, 1, nullptr, &packet), TANDEM_ERROR_INVALID);
}

struct RingMemory {
	static constexpr std::uint32_t order = 2;
	alignas(64) tandem_packet packets[1 << order];
	alignas(64) tandem_queue_indices indices;
	tandem_ring ring;

	RingMemory() { tandem_ring_init(&ring, packets, &indices, order); }
};

tandem_packet numbered(std::uint64_t n)
{
	tandem_packet packet{};

	packet.words[0] = TANDEM_PACKET_VENDOR;
	packet.words[1] = n;
	packet.words[7] = ~n;
	return packet;
}

TEST(Ring, StartsEmptyWithInvalidHeaders)
{
	RingMemory memory;

	EXPECT_TRUE(tandem_ring_has_room(&memory.ring));
	for (const tandem_packet &packet : memory.packets)
		EXPECT_EQ(type_of(static_cast<std::uint16_t>(packet.words[0])), TANDEM_PACKET_INVALID);
}

TEST(Ring, IsFullAfterAsManyPacketsAsItHasSlotsAndWraps)
{
	RingMemory memory;

	for (std::uint64_t i = 0; i < 4; i++) {
		ASSERT_TRUE(tandem_ring_has_room(&memory.ring));
		tandem_packet packet = numbered(i);
		EXPECT_EQ(tandem_ring_publish(&memory.ring, &packet), i + 1);
	}
	EXPECT_FALSE(tandem_ring_has_room(&memory.ring));
	memory.indices.read_index = 1;
	ASSERT_TRUE(tandem_ring_has_room(&memory.ring));
	tandem_packet packet = numbered(4);
	EXPECT_EQ(tandem_ring_publish(&memory.ring, &packet), 5u);
	EXPECT_EQ(memory.packets[0].words[1], 4u);
	EXPECT_EQ(memory.packets[1].words[1], 1u) << "the neighbour was overwritten";
	EXPECT_FALSE(tandem_ring_has_room(&memory.ring));
}

TEST(Ring, AConsumerThatFollowsTheIndexNeverSeesHalfAPacket)
{
	RingMemory memory;
	constexpr std::uint64_t count = 20000;
	std::uint64_t wrong = 0;

	std::thread consumer([&] {
		for (std::uint64_t read = 0; read < count; read++) {
			while (__atomic_load_n(&memory.indices.write_index, __ATOMIC_ACQUIRE) == read)
				std::this_thread::yield();
			const tandem_packet &packet = memory.packets[read & 3];
			std::uint64_t header = __atomic_load_n(&packet.words[0], __ATOMIC_ACQUIRE);
			wrong += header != TANDEM_PACKET_VENDOR || packet.words[1] != read || packet.words[7] != ~read;
			__atomic_store_n(&memory.indices.read_index, read + 1, __ATOMIC_RELEASE);
		}
	});
	for (std::uint64_t i = 0; i < count; i++) {
		tandem_packet packet = numbered(i);

		while (!tandem_ring_has_room(&memory.ring))
			std::this_thread::yield();
		tandem_ring_publish(&memory.ring, &packet);
	}
	consumer.join();
	EXPECT_EQ(wrong, 0u);
}

TEST(Signal, EachHasAnEventOfItsOwn)
{
	alignas(64) tandem_signal a, b;

	tandem_signal_init(&a, 3);
	tandem_signal_init(&b, -1);
	EXPECT_EQ(a.kind, TANDEM_SIGNAL_USER);
	EXPECT_EQ(tandem_signal_value(&a), 3);
	EXPECT_EQ(tandem_signal_value(&b), -1);
	EXPECT_NE(a.event_id, 0u);
	EXPECT_NE(a.event_id, b.event_id);
}

TEST(Status, EachHasWords)
{
	for (int status = 0; status > TANDEM_ERROR_LIMIT; status--) {
		ASSERT_NE(tandem_strerror(status), nullptr);
		EXPECT_STRNE(tandem_strerror(status), "unknown status") << status;
	}
	EXPECT_STREQ(tandem_strerror(TANDEM_ERROR_LIMIT), "unknown status");
	EXPECT_STREQ(tandem_strerror(1), "unknown status");
}

TEST(Open, WithoutADeviceSaysWhichFileIsMissing)
{
	tandem_open_options options{};
	tandem_device *device = nullptr;

	options.path = "/nonexistent/tandem0";
	EXPECT_EQ(tandem_open(&options, &device), TANDEM_ERROR_NO_DEVICE);
	EXPECT_NE(std::strstr(tandem_error_text(), "/nonexistent/tandem0"), nullptr) << tandem_error_text();
	EXPECT_EQ(device, nullptr);
}

TEST(Open, RefusesAnUnknownTranslationByName)
{
	tandem_device *device = nullptr;

	setenv("TANDEM_TRANSLATION", "magic", 1);
	EXPECT_EQ(tandem_open(nullptr, &device), TANDEM_ERROR_INVALID);
	unsetenv("TANDEM_TRANSLATION");
	EXPECT_NE(std::strstr(tandem_error_text(), "softtlb"), nullptr) << tandem_error_text();
}

} // namespace
