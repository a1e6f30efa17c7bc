// SPDX-License-Identifier: GPL-2.0-or-later
/* The fixture of the guest's suites, and helpers for memory and child processes. */
#ifndef TANDEM_GPU_TEST_HPP
#define TANDEM_GPU_TEST_HPP

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "../kernels/arguments.h"
#include "tandem/tandem.hpp"
#include "time_scale.hpp"

namespace gpu_test {

constexpr std::uint64_t page_bytes = 4096;
constexpr std::uint64_t huge_bytes = 2ull << 20;
inline const std::int64_t time_limit_ns = 60'000'000'000 * time_scale();

template <typename T> ::testing::AssertionResult succeeded(const tandem::Result<T> &result)
{
	if (result)
		return ::testing::AssertionSuccess();
	return ::testing::AssertionFailure() << tandem_strerror(result.error().status) << ": " << result.error().text;
}

#define ASSERT_OK(result) ASSERT_TRUE(gpu_test::succeeded(result))
#define EXPECT_OK(result) EXPECT_TRUE(gpu_test::succeeded(result))

/* A mapping that ends with its scope. */
class Mapping {
public:
	Mapping(std::uint64_t bytes, int flags = MAP_PRIVATE | MAP_ANONYMOUS, int file = -1, std::uint64_t offset = 0,
		int protection = PROT_READ | PROT_WRITE);
	~Mapping();
	Mapping(const Mapping &) = delete;
	Mapping &operator=(const Mapping &) = delete;

	void *get() const { return memory_; }
	char *at(std::uint64_t offset) const { return static_cast<char *>(memory_) + offset; }
	std::uint64_t *words(std::uint64_t page = 0) const { return reinterpret_cast<std::uint64_t *>(at(page * page_bytes)); }
	std::uint64_t bytes() const { return bytes_; }
	std::uint64_t address() const { return reinterpret_cast<std::uintptr_t>(memory_); }

private:
	void *memory_;
	std::uint64_t bytes_;
};

/* Memory that may be had as huge pages: aligned to 2 MiB, advised. */
class HugeMapping {
public:
	explicit HugeMapping(std::uint64_t bytes);

	char *get() const { return start_; }
	std::uint64_t *words(std::uint64_t page) const { return reinterpret_cast<std::uint64_t *>(start_ + page * page_bytes); }

private:
	Mapping whole_;
	char *start_;
};

/* An open file in memory, of that many bytes. */
class MemoryFile {
public:
	explicit MemoryFile(std::uint64_t bytes);
	~MemoryFile();
	int get() const { return file_; }

private:
	int file_;
};

/* An address where nothing is mapped. */
std::uint64_t *unmapped_address();

/* Runs the function in a child that ends with its value; returns the child's wait status. */
int in_child(const std::function<int()> &function);
pid_t start_child(const std::function<int()> &function);
int wait_status(pid_t child);
::testing::AssertionResult exited_well(int wait_status);

/* In a child: prints what failed, and ends it. */
#define CHILD_CHECK(condition)                                                                              \
	do {                                                                                                \
		if (!(condition)) {                                                                         \
			fprintf(stderr, "%s:%d: in the child: %s does not hold (%s)\n", __FILE__, __LINE__, #condition, \
				tandem_error_text());                                                       \
			_exit(1);                                                                           \
		}                                                                                           \
	} while (0)

/* A few words in memory that children share. */
class SharedWords {
public:
	SharedWords() : mapping_(page_bytes, MAP_SHARED | MAP_ANONYMOUS) {}
	std::uint64_t *at(unsigned index) const { return mapping_.words() + index * 8; }
	std::uint64_t load(unsigned index) const { return __atomic_load_n(at(index), __ATOMIC_SEQ_CST); }
	void store(unsigned index, std::uint64_t value) const { __atomic_store_n(at(index), value, __ATOMIC_SEQ_CST); }

	/* False when the time is over. */
	bool wait_at_least(unsigned index, std::uint64_t value) const;

private:
	Mapping mapping_;
};

/* For what the IOMMU cannot do for the GPU, or does unseen (docs/sva.md). */
#define MIRROR_ONLY(why)                                             \
	do {                                                         \
		if (is_sva())                                        \
			GTEST_SKIP() << "only of a mirror: " << why; \
	} while (0)

/* Opens the GPU for each test. */
class GpuTest : public ::testing::Test {
protected:
	void SetUp() override;

	virtual void configure(tandem::Device &) {} /* opened just now, without queues */

	tandem::Device &device() { return *device_; }
	tandem::Queue &queue() { return *queue_; }
	tandem::Kernel kernel(const char *name, const char *file = nullptr);
	tandem::Queue new_queue(const tandem_queue_options *options = nullptr) { return device().queue(options).take(); }

	tandem::Outcome run(const char *kernel_name, tandem::Grid grid, tandem::Group group, const void *arguments,
			    std::uint32_t lds = 0)
	{
		return queue().run(kernel(kernel_name), grid, group, arguments, lds, time_limit_ns);
	}
	tandem_ioc_stats stats() { return device().stats().take(); }
	bool is_sva() { return tandem_bus_pasid(device().get()) != 0; }

	/* Good work still goes: a counter incremented by 64 lanes on a new queue. */
	void expect_the_gpu_works();

	/* The queue has failed with this error, at this page if it is given. */
	void expect_error(tandem::Queue &failed, tandem_queue_error error, const void *at = nullptr);

	const char *kernel_file_ = "test_queue.elf"; /* where kernel() looks unless told */

private:
	std::optional<tandem::Device> device_;
	std::optional<tandem::Queue> queue_;
	std::vector<std::pair<std::string, tandem::Module>> modules_;
};

} // namespace gpu_test

#endif
