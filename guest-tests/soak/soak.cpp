// SPDX-License-Identifier: GPL-2.0-or-later
#include "soak.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "../support/system.hpp"
#include "device_operations.hpp"
#include "soak_operations.hpp"

namespace soak {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t remembered = 12;

/* Threads see each other's end. */
struct Shared {
	const Clock::time_point start = Clock::now(), end;
	std::atomic<bool> over = false;
	std::atomic<std::uint64_t> operations = 0;
	const std::uint64_t most_operations;

	explicit Shared(const Options &options)
		: end(start + std::chrono::seconds(options.seconds)),
		  most_operations(options.operations ? options.operations : UINT64_MAX)
	{
	}

	bool done() const { return over || operations >= most_operations || Clock::now() >= end; }
	double seconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }
};

/* At quiet addresses: what is unmapped for a moment is nobody else's. Each place begins at a multiple of 2 MiB. */
char *place(std::uint64_t thread, std::uint64_t which)
{
	auto *wanted = reinterpret_cast<char *>((1ull << 44) + (thread * 8 + which * 2) * bytes);
	void *memory = mmap(wanted, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return memory == wanted ? wanted : nullptr;
}

class Worker {
public:
	Worker(const tandem::Device &device, const Options &options, std::uint64_t index, const mm_system::Cgroup &group,
	       Shared &shared, const Crowd *crowd)
		: index_(index), shared_(shared), operations_(crowd ? device_operations() : operations()),
		  gpu_(device, options.seed * 1000 + index),
		  arena_{place(index, 0), place(index, 1), place(index, 2), gpu_, std::mt19937_64(options.seed * 1000 + index),
			 group, memfd_create("soak", MFD_CLOEXEC), private_memory, &device, crowd}
	{
	}
	~Worker() { close(arena_.file); }

	void start() { thread_ = std::thread([this] { work(); }); }
	void join() { thread_.join(); }
	bool good() const { return problem_.empty(); }
	std::uint64_t rounds() const { return gpu_.rounds(); }

	std::string report() const
	{
		std::string text = "thread " + std::to_string(index_) + (good() ? "" : " FAILED: " + problem_) + "\n";

		for (const std::string &line : last_)
			text += "    " + line + "\n";
		return text;
	}

private:
	void work()
	{
		if (!arena_.here || !arena_.there || !arena_.neighbour || arena_.file < 0)
			problem_ = "no memory at the addresses wanted";
		else if (!gpu_.start(arena_.here, pages, TALLY_WRITE))
			problem_ = gpu_.complaint();
		while (good() && !shared_.done())
			step();
		if (good() && !gpu_.finish())
			problem_ = gpu_.complaint();
		if (!good())
			shared_.over = true;
	}

	void step()
	{
		const Operation &operation = choose();
		char line[64];

		std::snprintf(line, sizeof(line), "%10.4f s  %s", shared_.seconds(), operation.name);
		last_.push_back(line);
		if (last_.size() > remembered)
			last_.pop_front();
		try {
			operation.run(arena_, problem_);
		} catch (const std::exception &failure) {
			problem_ = failure.what();
		}
		shared_.operations++;
		/* Now and then the GPU has to come round before the next blow, or it would only ever see faults. */
		if (good() && (gpu_.errors() || (arena_.below(4) == 0 && !gpu_.wait_round())))
			problem_ = gpu_.complaint();
	}

	/* One that can be done to the region as it is. */
	const Operation &choose()
	{
		for (;;) {
			const Operation &operation = operations_[arena_.below(operations_.size())];

			if (operation.kinds & arena_.kind)
				return operation;
		}
	}

	std::uint64_t index_;
	Shared &shared_;
	const std::vector<Operation> &operations_;
	tally::Tally gpu_;
	Arena arena_;
	std::deque<std::string> last_;
	std::string problem_;
	std::thread thread_;
};

void show_progress(const Shared &shared, const Options &options)
{
	for (double next = 0; !shared.done(); usleep(100000)) {
		if (!options.progress || shared.seconds() < next)
			continue;
		next = shared.seconds() + 5;
		std::printf("soak: seed %lu, %lu operations, %.0f s left\n", options.seed, shared.operations.load(),
			    static_cast<double>(options.seconds) - shared.seconds());
		std::fflush(stdout);
	}
}

/* The process is in a group of its own as long as this lives. */
struct Membership {
	mm_system::Cgroup group{"tandem-soak"};

	Membership() { group.enter(); }
	~Membership() { mm_system::Cgroup::leave(); }
};

/* Swap space, a reserve of huge pages, KSM and khugepaged at work for the time of the soak. */
struct Surroundings {
	explicit Surroundings(std::uint64_t threads)
		: huge("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", std::to_string(2 * threads))
	{
	}

	Membership membership;
	mm_system::Setting huge;
	mm_system::Zram swap;
	mm_system::Setting ksm{"/sys/kernel/mm/ksm/run", "1"};
	mm_system::Setting khugepaged{"/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "100"};
};

} // namespace

Result run(const Options &options)
{
	Surroundings surroundings(options.threads);
	tandem_open_options how = {0, nullptr, options.memory == Memory::Device ? TANDEM_INIT_MIGRATE : 0u};
	auto device = tandem::Device::open(&how);
	if (!device)
		return {false, 0, 0, device.error().text + "\n"};
	std::optional<Crowd> crowd;
	if (options.memory == Memory::Device) {
		if (device->query()->vram_kind == TANDEM_VRAM_NONE)
			return {false, 0, 0, "the GPU has no memory for processes\n"};
		crowd.emplace(*device);
		/* From here on the GPU's memory is full: whatever goes there drives something out. */
		for (std::uint64_t part = 0; part < crowd->parts(); part++)
			static_cast<void>(device->prefetch(crowd->part(part), Crowd::part_bytes, TANDEM_LOCATION_DEVICE));
	}
	Shared shared(options);
	std::vector<std::unique_ptr<Worker>> workers;

	for (std::uint64_t index = 0; index < options.threads; index++)
		workers.push_back(std::make_unique<Worker>(*device, options, index, surroundings.membership.group, shared,
							   crowd ? &*crowd : nullptr));
	for (auto &worker : workers)
		worker->start();
	show_progress(shared, options);
	Result result = {true, 0, UINT64_MAX, {}};
	for (auto &worker : workers) {
		worker->join();
		result.good = result.good && worker->good();
		result.rounds = std::min(result.rounds, worker->rounds());
	}
	result.operations = shared.operations;
	if (auto stats = device->stats(); stats) {
		result.pages_to_vram = stats->pages_to_vram;
		result.pages_to_system = stats->pages_to_system;
		result.pages_evicted = stats->pages_evicted;
	}
	if (!result.good) {
		result.report = "soak: failed with --seed " + std::to_string(options.seed) + " --threads " +
				std::to_string(options.threads) + "; the last operations of each thread:\n";
		for (auto &worker : workers)
			result.report += worker->report();
	}
	return result;
}

} // namespace soak
