// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bytes a second from the system's memory to the GPU's and back, in pages of 4 KiB and of 2 MiB, and CPU faults a second that bring
 * single pages home; beside the kernel's own module test_hmm doing the same in another process of the same guest.
 */
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.hpp"
#include "tandem_dmirror_uapi.h"

namespace bench {

namespace {

constexpr std::uint64_t region_bytes = 32 << 20;
constexpr std::uint64_t huge_bytes = 2 << 20;
constexpr unsigned rounds = 7;
constexpr unsigned attempts = 10;

double rate(std::uint64_t amount, std::uint64_t ns)
{
	return 1e9 * static_cast<double>(amount) / static_cast<double>(ns);
}

/* Each word says where it is, so that a page that is mixed up with another is noticed. */
void fill(const Mapping &region)
{
	auto *words = reinterpret_cast<std::uint64_t *>(region.at());

	for (std::uint64_t word = 0; word < region.bytes() / 8; word += 64)
		words[word] = word;
}

void check(const Mapping &region)
{
	auto *words = reinterpret_cast<const volatile std::uint64_t *>(region.at());

	for (std::uint64_t word = 0; word < region.bytes() / 8; word += 64)
		if (words[word] != word)
			fail("migration lost data: word " + std::to_string(word));
}

/* Who moves the pages of a region. Each returns nanoseconds, and has made sure that all pages moved. */
class Mover {
public:
	virtual ~Mover() = default;
	virtual std::uint64_t away(const Mapping &region) = 0;
	virtual std::uint64_t home(const Mapping &region) = 0;
};

class GpuMover : public Mover {
public:
	std::uint64_t away(const Mapping &region) override { return move(region, TANDEM_LOCATION_DEVICE); }
	std::uint64_t home(const Mapping &region) override { return move(region, TANDEM_LOCATION_SYSTEM); }

private:
	std::uint64_t move(const Mapping &region, tandem_location location)
	{
		std::uint64_t moved = 0;
		std::uint64_t ns = time_ns([&] { moved = need(gpu_.device.prefetch(region.at(), region.bytes(), location)); });

		if (moved != region.bytes() / page_bytes)
			fail("only " + std::to_string(moved) + " pages of " + std::to_string(region.bytes() / page_bytes) + " moved");
		return ns;
	}

	Gpu gpu_;
};

/*
 * The module's file /dev/hmm_dmirror0: each request names an address, a buffer for what the "device" has there, and a number of
 * pages. Moving pages away also reads all of them back into the buffer; the time of such a read alone is taken off.
 */
class TestHmmMover : public Mover {
public:
	TestHmmMover() : file_(open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC)), buffer_(region_bytes, Mapping::Pages::Huge)
	{
		if (file_ < 0)
			fail(std::string("/dev/hmm_dmirror0: ") + std::strerror(errno));
		buffer_.touch();
	}
	~TestHmmMover() override { close(file_); }

	/* The machine may have had other things to do in one of the two times: then the sample is taken again. */
	std::uint64_t away(const Mapping &region) override
	{
		std::uint64_t pages = region.bytes() / page_bytes;

		for (unsigned attempt = 0; attempt < attempts; attempt++) {
			std::uint64_t both = request(TANDEM_DMIRROR_MIGRATE_TO_DEV, region, pages);
			std::uint64_t read = request(TANDEM_DMIRROR_READ, region, pages);

			if (both > read)
				return both - read;
			home(region);
		}
		fail("test_hmm takes longer to read than to move and read");
	}
	/* It counts a huge page as one. */
	std::uint64_t home(const Mapping &region) override { return request(TANDEM_DMIRROR_MIGRATE_TO_SYS, region, region.bytes() / huge_bytes); }

private:
	std::uint64_t request(unsigned long number, const Mapping &region, std::uint64_t at_least)
	{
		tandem_dmirror_request what = {reinterpret_cast<std::uintptr_t>(region.at()), reinterpret_cast<std::uintptr_t>(buffer_.at()),
				       region.bytes() / page_bytes, 0, 0};
		int error = 0;
		std::uint64_t ns = time_ns([&] { error = ioctl(file_, number, &what) ? errno : 0; });

		if (error || what.cpages < at_least)
			fail("test_hmm did " + std::to_string(what.cpages) + " pages of " + std::to_string(at_least) + ": " +
			     std::strerror(error));
		return ns;
	}

	int file_;
	Mapping buffer_;
};

/* Three samples in turn: away, home, and home by CPU faults, a page at a time. */
Peer::Sampler three_in_turn(std::shared_ptr<Mover> mover, Mapping::Pages kind)
{
	auto region = std::make_shared<Mapping>(region_bytes, kind);
	auto turn = std::make_shared<unsigned>(0);

	region->touch();
	return [=] {
		switch ((*turn)++ % 3) {
		case 0:
			fill(*region);
			return rate(region_bytes, mover->away(*region));
		case 1: {
			double sample = rate(region_bytes, mover->home(*region));
			check(*region);
			mover->away(*region);
			return sample;
		}
		default: {
			std::uint64_t step = kind == Mapping::Pages::Huge ? huge_bytes : page_bytes;
			std::uint64_t ns = time_ns([&] {
				for (std::uint64_t at = 0; at < region_bytes; at += step)
					static_cast<void>(*static_cast<volatile unsigned char *>(region->at(at)));
			});
			check(*region);
			return rate(region_bytes / step, ns);
		}
		}
	};
}

void compare(const std::string &name, Mapping::Pages kind)
{
	/* Both in processes of their own: each mirrors only itself. */
	Peer gpu([=] { return three_in_turn(std::make_shared<GpuMover>(), kind); });
	Peer hmm([=] { return three_in_turn(std::make_shared<TestHmmMover>(), kind); });
	const char *const figures[] = {"to-vram", "to-ram", "fault-back"};
	Samples by_gpu[3], by_hmm[3];

	for (unsigned round = 0; round <= rounds; round++)
		for (unsigned figure = 0; figure < 3; figure++) {
			double ours = gpu.sample(), theirs = hmm.sample();

			if (round == 0) /* what is made on first use */
				continue;
			by_gpu[figure].push_back(ours);
			by_hmm[figure].push_back(theirs);
		}
	for (unsigned figure = 0; figure < 3; figure++) {
		const char *unit = figure == 2 ? "faults/s" : "bytes/s";

		print(name + "-" + figures[figure], unit, by_gpu[figure]);
		print(name + "-" + figures[figure] + "-hmm", unit, by_hmm[figure]);
	}
}

} // namespace

void migrate()
{
	compare("4k", Mapping::Pages::Small);
	compare("2m", Mapping::Pages::Huge);
}

} // namespace bench
