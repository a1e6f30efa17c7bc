// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fixture of the matrix_svm_ suites. Each runs twice: as it is, and with TANDEM_TEST_RETRY=off, where no GPU access is made
 * good but where the process has granted it; here it grants all of its memory, so nothing that a test sees may differ, except that
 * a GPU fault moves nothing.
 */
#ifndef TANDEM_SVM_TEST_HPP
#define TANDEM_SVM_TEST_HPP

#include <cstdlib>
#include <string_view>

#include "devmem_test.hpp"

namespace svm_test {

using namespace devmem_test;

/* Every address that a process can have. */
inline void *const first_address = nullptr;
constexpr std::uint64_t all_addresses = (1ull << 47) - page_bytes;

inline bool retries()
{
	const char *mode = std::getenv("TANDEM_TEST_RETRY");

	return !mode || std::string_view(mode) != "off";
}

/* No queue yet. What the GPU uses without being asked (code, rings, signals) is granted, too. */
inline void forbid_retries(tandem::Device &device)
{
	ASSERT_OK(device.set_retry(TANDEM_RETRY_OFF));
	ASSERT_OK(device.advise(first_address, all_addresses, TANDEM_RANGE_ACCESSED_BY));
}

/* A new address space of the GPU, in the mode of this run. */
inline tandem::Device open_device(const char *path = nullptr)
{
	tandem_open_options options = {0, path, 0};
	auto device = tandem::Device::open(&options).take();

	if (!retries())
		forbid_retries(device);
	return device;
}

/* By the copy engine, waited for. */
inline tandem::Outcome engine_copy(const tandem::Queue &queue, void *to, const void *from, std::uint64_t length)
{
	auto done = tandem::Signal::create().take();

	if (int status = tandem_copy(queue.get(), to, from, length, done.get()))
		return tandem::Error::last(status);
	return queue.wait(done, time_limit_ns);
}

inline tandem::Outcome engine_fill(const tandem::Queue &queue, void *to, std::uint64_t value, std::uint64_t length)
{
	auto done = tandem::Signal::create().take();

	if (int status = tandem_fill(queue.get(), to, value, length, done.get()))
		return tandem::Error::last(status);
	return queue.wait(done, time_limit_ns);
}

/* Each 8 bytes hold this value, as the CPU sees them. */
inline ::testing::AssertionResult is_filled(const void *start, std::uint64_t value, std::uint64_t length)
{
	auto *words = static_cast<const volatile std::uint64_t *>(start);

	for (std::uint64_t word = 0; word < length / 8; word++)
		if (std::uint64_t seen = words[word]; seen != value)
			return ::testing::AssertionFailure() << std::hex << seen << " in place of " << value << std::dec << " in word " << word;
	return ::testing::AssertionSuccess();
}

/* A word of its own in each page, for regions of which every byte would take too long. */
inline void stamp(void *start, std::uint64_t length, std::uint64_t seed)
{
	for (std::uint64_t page = 0; page < length / page_bytes; page++)
		static_cast<std::uint64_t *>(start)[page * 512 + page % 512] = pattern(seed, page);
}

inline ::testing::AssertionResult is_stamped(const void *start, std::uint64_t length, std::uint64_t seed)
{
	auto *words = static_cast<const volatile std::uint64_t *>(start);

	for (std::uint64_t page = 0; page < length / page_bytes; page++)
		if (words[page * 512 + page % 512] != pattern(seed, page))
			return ::testing::AssertionFailure() << "page " << page << " of " << length / page_bytes << " holds "
							     << words[page * 512 + page % 512];
	return ::testing::AssertionSuccess();
}

class SvmTest : public PrivateTest {
protected:
	void configure(tandem::Device &opened) override
	{
		if (!retries())
			forbid_retries(opened);
	}

	std::uint64_t vram_bytes() { return device().query()->vram_bytes; }

	/* By the fixture's queue. */
	void copy(void *to, const void *from, std::uint64_t length) { ASSERT_OK(engine_copy(queue(), to, from, length)); }
	void fill_by_engine(void *to, std::uint64_t value, std::uint64_t length) { ASSERT_OK(engine_fill(queue(), to, value, length)); }
};

} // namespace svm_test

#endif
