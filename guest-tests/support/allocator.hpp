// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory as a program gets it, and work of the GPU in it. The GPU reads its arguments where the CPU wrote them, in the memory that
 * is tested, and stores the value that it found there beside them: an execution that ends well shows both directions.
 */
#ifndef TANDEM_TEST_ALLOCATOR_HPP
#define TANDEM_TEST_ALLOCATOR_HPP

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../kernels/arguments.h"
#include "tandem/tandem.hpp"

namespace allocator {

/* Who gives the memory. */
enum class Source {
	Malloc,
	New,    /* of C++ */
	Mmap,   /* private and anonymous */
	File,   /* a private mapping of a file */
	Shared, /* shared and anonymous */
	Thp,    /* private and anonymous, advised to be huge pages */
	Hugetlb,
};

enum manner : unsigned {
	untouched = 1, /* nobody fills it before */
	locked = 2,    /* mlock() */
	fresh = 4,     /* each execution has memory of its own, all of it is kept until the end */
	freed = 8,     /* each execution has memory of its own, the last one's is freed before */
	race = 16,     /* completion is signalled beside the result, and the CPU writes there meanwhile */
};

struct Kind {
	const char *name;
	Source source;
	unsigned manner = 0;
};

/* How the GPU goes about it. */
struct Shape {
	const char *name;
	unsigned executions;
	std::uint64_t bytes = 0;  /* of the memory; 0: as much as there are records */
	std::uint64_t stride = 1; /* records from one execution to the next */
	unsigned queues = 1;      /* taken in turn */
};

constexpr unsigned many = 64;
constexpr unsigned many_large = 16; /* with memory of their own this is 32 MiB */
constexpr std::uint64_t far_apart = 256; /* records: a page of its own for each execution, and seven for nobody */

/* What an execution reads and writes: never across two pages. */
struct alignas(64) Record {
	tandem_signal done;
	store_arguments store;
	std::uint64_t result;   /* the GPU's */
	std::uint64_t by_cpu;   /* the CPU's, written while the GPU works */
	std::uint64_t expected;
	std::uint64_t guard;    /* nobody's */
};
static_assert(sizeof(Record) == 128);

std::uint64_t bytes_for(const Shape &shape);

/* The memory of one kind. Failures throw. */
class Buffer {
public:
	Buffer(const Kind &kind, std::uint64_t bytes);
	~Buffer();
	Buffer(const Buffer &) = delete;
	Buffer &operator=(const Buffer &) = delete;

	char *get() const { return memory_; }
	std::uint64_t bytes() const { return bytes_; }
	Record &record(std::uint64_t index) const { return reinterpret_cast<Record *>(memory_)[index]; }

private:
	void allocate();
	void map(int flags, int file = -1);

	Kind kind_;
	std::uint64_t bytes_;
	char *memory_ = nullptr;
};

/*
 * One participant's executions, one after the other, on queues of its own. For threads and children as well: what is wrong is a
 * sentence, "" if nothing is.
 */
class Work {
public:
	/* Of several participants in one buffer the records are dealt out in turn: this one is number `part` of `parts`. */
	Work(const tandem::Device &device, const Kind &kind, const Shape &shape, std::uint64_t seed = 1,
	     std::shared_ptr<Buffer> buffer = nullptr, unsigned part = 0, unsigned parts = 1);

	std::string run();

	std::string execute(unsigned number);
	std::string verify() const; /* the results of all executions so far that still have their memory */
	Buffer &buffer() const { return *buffers_.back(); }
	Record &record(unsigned number) const;
	unsigned executions() const { return shape_.executions; }

private:
	void renew();
	std::string check(unsigned number) const;
	std::uint64_t value(unsigned number) const;

	Kind kind_;
	Shape shape_;
	std::uint64_t seed_;
	unsigned part_, parts_;
	tandem::Module module_;
	tandem::Kernel store_;
	std::vector<std::shared_ptr<Buffer>> buffers_; /* all that are kept; the last one is in use */
	tandem::Signal done_;
	std::vector<tandem::Queue> queues_; /* they go first: nothing of them is under way then */
	unsigned begun_ = 0;
};

} // namespace allocator

#endif
