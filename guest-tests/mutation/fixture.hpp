// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the provocations share. Each is a test that says what the driver does when nothing is mutated; with a mutation it makes
 * happen, once and in a known order, what the mutation breaks, so that the coherence checker has something to see. Whether the test
 * itself notices is of no importance then (docs/checker.md, "Mutations").
 */
#ifndef TANDEM_MUTATION_FIXTURE_HPP
#define TANDEM_MUTATION_FIXTURE_HPP

#include <atomic>
#include <memory>
#include <thread>

#include "gate.hpp"
#include "mm_test.hpp"

namespace mutation {

using namespace mm_test;

constexpr char parameters[] = "/sys/module/tandem/parameters/";

inline std::string debugfs(const std::string &name) { return "/sys/kernel/debug/tandem0/" + name; }

/* The device holds back what the word says (test-hooks=on), until this goes. */
class Stall {
public:
	explicit Stall(const std::string &word) { write_file(debugfs("inject"), word); }
	~Stall() { write_file(debugfs("inject"), "none"); }
	Stall(const Stall &) = delete;
	Stall &operator=(const Stall &) = delete;
};

/* Another GPU, or the same one once more, with a kernel of its own. */
struct Another {
	tandem::Device device;
	tandem::Queue queue;
	tandem::Module module;

	static Another open(const char *path = nullptr, const char *kernels = "test_queue.elf")
	{
		tandem_open_options options = {};

		options.path = path;
		auto device = tandem::Device::open(&options).take();
		auto queue = device.queue().take();
		auto module = device.module(kernels).take();
		return {std::move(device), std::move(queue), std::move(module)};
	}
};

/* Small pages that the CPU has written, at a quiet address. */
class Region : public Place {
public:
	explicit Region(std::uint64_t page_count) : Place(page_count * page_bytes)
	{
		if (madvise(get(), bytes(), MADV_NOHUGEPAGE))
			throw std::system_error(errno, std::generic_category(), "madvise(MADV_NOHUGEPAGE)");
		for (std::uint64_t page = 0; page < page_count; page++)
			*words(page) = page + 1;
	}
};

class Provocation : public MmTest {
protected:
	/* Not a multiple of a group of 16: there are large leaves and small ones at the end. */
	static constexpr std::uint64_t some_pages = 61;

	void SetUp() override
	{
		ASSERT_TRUE(exists(gate_path)) << "this program needs the test-only driver: ./tandem test mutations";
		write_file(gate_path, "none");
		MmTest::SetUp();
	}

	/* Something is done to memory while the GPU works there and goes on working; the driver is held at the gate, if it comes there. */
	void change_under_the_gpu(Sweeper &gpu, Gate &gate, const std::function<void()> &change)
	{
		std::atomic<bool> done = false;
		std::thread changer([&] {
			change();
			done = true;
		});

		EXPECT_TRUE(gate.wait_held_or([&] { return done.load(); }));
		EXPECT_GPU(gpu, gpu.wait_round());
		if (!done)
			gate.open();
		changer.join();
		EXPECT_GPU(gpu, gpu.wait_round());
	}

	/* One page that the GPU reads for the first time, or writes to. */
	tandem::Outcome gpu_touches(void *page, bool write, tandem::Queue &queue)
	{
		std::uint64_t done = 0;
		touch_arguments touch = {static_cast<unsigned char *>(page), 1, &done, write};

		return queue.run(kernel("touch"), {1}, {1}, &touch, 0, time_limit_ns);
	}

	/* The GPU faults on the page; the driver is held there; meanwhile something is done. */
	void change_during_a_fault(const std::string &place, void *page, const std::function<void()> &change)
	{
		tandem::Queue own = new_queue();
		Gate gate(place, page);
		std::atomic<bool> done = false;
		std::thread user([&] {
			EXPECT_OK(gpu_touches(page, true, own));
			done = true;
		});

		EXPECT_TRUE(gate.wait_held_or([&] { return done.load(); }));
		change();
		gate.open();
		user.join();
		EXPECT_OK(gpu_touches(page, true, own));
	}

	/* Rings of the driver's, as the device's registers show them: is something in it that the device has not taken? */
	static bool is_pending(const std::string &ring)
	{
		return device_register(ring + "_put") != device_register(ring + "_get");
	}

private:
	static std::uint64_t device_register(const std::string &name)
	{
		std::string text = read_file(debugfs("registers"));
		std::size_t at = text.find(" " + name + " ");

		if (at == std::string::npos)
			throw std::runtime_error("no register " + name);
		return std::stoull(text.substr(at + name.size() + 2), nullptr, 16);
	}
};

} // namespace mutation

#endif
