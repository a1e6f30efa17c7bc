// SPDX-License-Identifier: GPL-2.0-or-later
#include "allocator.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <cstdio>
#include <new>
#include <system_error>

#include "time_scale.hpp"

namespace allocator {

namespace {

constexpr std::uint64_t page_bytes = 4096;
constexpr std::uint64_t huge_bytes = 2ull << 20;
constexpr int filler = 5;
constexpr unsigned cpu_writes = 2000; /* while the GPU works, at most */

[[noreturn]] void fail(const char *what)
{
	throw std::system_error(errno, std::generic_category(), what);
}

bool is_huge(Source source)
{
	return source == Source::Thp || source == Source::Hugetlb;
}

std::uint64_t alignment_of(Source source)
{
	return is_huge(source) ? huge_bytes : page_bytes;
}

int temporary_file(std::uint64_t bytes)
{
	char name[] = "/tmp/allocator-XXXXXX";
	int file = mkstemp(name);

	if (file < 0)
		fail(name);
	unlink(name);
	if (ftruncate(file, static_cast<off_t>(bytes)))
		fail("ftruncate");
	return file;
}

std::string at(const Record &record)
{
	char text[32];

	std::snprintf(text, sizeof(text), " at %p", static_cast<const void *>(&record));
	return text;
}

} // namespace

std::uint64_t bytes_for(const Shape &shape)
{
	return shape.bytes ? shape.bytes : shape.executions * shape.stride * sizeof(Record);
}

Buffer::Buffer(const Kind &kind, std::uint64_t bytes)
	: kind_(kind), bytes_((bytes + alignment_of(kind.source) - 1) & -alignment_of(kind.source))
{
	allocate();
	if (!(kind.manner & untouched))
		std::memset(memory_, filler, bytes_);
	if (kind.manner & locked && mlock(memory_, bytes_))
		fail("mlock");
}

void Buffer::allocate()
{
	switch (kind_.source) {
	case Source::Malloc:
		memory_ = static_cast<char *>(std::aligned_alloc(page_bytes, bytes_));
		if (!memory_)
			fail("aligned_alloc");
		return;
	case Source::New:
		memory_ = static_cast<char *>(operator new[](bytes_, std::align_val_t(alignof(Record))));
		return;
	case Source::Mmap:
		return map(MAP_PRIVATE | MAP_ANONYMOUS);
	case Source::File: {
		int file = temporary_file(bytes_);

		map(MAP_PRIVATE, file);
		close(file);
		return;
	}
	case Source::Shared:
		return map(MAP_SHARED | MAP_ANONYMOUS);
	case Source::Hugetlb:
		return map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
	case Source::Thp:
		memory_ = static_cast<char *>(std::aligned_alloc(huge_bytes, bytes_));
		if (!memory_ || madvise(memory_, bytes_, MADV_HUGEPAGE))
			fail("memory for huge pages");
		return;
	}
}

void Buffer::map(int flags, int file)
{
	void *memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags, file, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	memory_ = static_cast<char *>(memory);
}

Buffer::~Buffer()
{
	if (kind_.manner & locked)
		munlock(memory_, bytes_);
	switch (kind_.source) {
	case Source::Malloc:
	case Source::Thp:
		std::free(memory_);
		return;
	case Source::New:
		operator delete[](memory_, std::align_val_t(alignof(Record)));
		return;
	default:
		munmap(memory_, bytes_);
	}
}

Work::Work(const tandem::Device &device, const Kind &kind, const Shape &shape, std::uint64_t seed, std::shared_ptr<Buffer> buffer,
	   unsigned part, unsigned parts)
	: kind_(kind), shape_(shape), seed_(seed), part_(part), parts_(parts), module_(device.module("store.elf").take()),
	  store_(module_.kernel("store").take()), done_(tandem::Signal::create().take())
{
	tandem_queue_options small{};

	buffers_.push_back(buffer ? std::move(buffer) : std::make_shared<Buffer>(kind, bytes_for(shape)));
	small.ring_order = 4;
	small.scratch_waves = 32;
	for (unsigned i = 0; i < shape.queues; i++)
		queues_.push_back(device.queue(&small).take());
}

std::uint64_t Work::value(unsigned number) const
{
	return (seed_ * parts_ + part_) * 0x9e3779b97f4a7c15 + number;
}

Record &Work::record(unsigned number) const
{
	return buffer().record((number * parts_ + part_) * shape_.stride);
}

void Work::renew()
{
	if (kind_.manner & freed)
		buffers_.clear();
	buffers_.push_back(std::make_shared<Buffer>(kind_, bytes_for(shape_)));
}

std::string Work::execute(unsigned number)
{
	const tandem::Queue &queue = queues_[number % queues_.size()];

	if (number && kind_.manner & (fresh | freed))
		renew();
	Record &record = this->record(number);
	tandem_signal *done = kind_.manner & race ? &record.done : done_.get();
	const std::uint64_t guard = record.guard;
	std::uint64_t written = 0;

	begun_ = number + 1;
	record.expected = value(number);
	record.result = ~record.expected;
	record.store = {&record.result, record.expected};
	tandem_signal_init(done, 1);
	if (auto begun = queue.dispatch(store_, {1}, {1}, &record.store, done); !begun)
		return begun.error().text;
	while (kind_.manner & race && written < cpu_writes && tandem_signal_value(done) > 0)
		__atomic_store_n(&record.by_cpu, ++written, __ATOMIC_RELAXED);
	if (tandem_wait(queue.get(), done, 60'000'000'000 * time_scale()))
		return tandem_error_text();
	if (kind_.manner & race && written && record.by_cpu != written)
		return "the CPU's own word is lost" + at(record);
	if (record.guard != guard)
		return "a word that is nobody's has changed" + at(record);
	return check(number);
}

std::string Work::check(unsigned number) const
{
	const Record &record = this->record(number);
	std::uint64_t result = __atomic_load_n(&record.result, __ATOMIC_RELAXED);

	if (result == value(number) && record.expected == result)
		return "";
	return "execution " + std::to_string(number) + at(record) + ": " + std::to_string(result) + " in place of " +
	       std::to_string(value(number));
}

std::string Work::verify() const
{
	if (kind_.manner & (fresh | freed))
		return begun_ ? check(begun_ - 1) : "";
	for (unsigned number = 0; number < begun_; number++)
		if (std::string problem = check(number); !problem.empty())
			return problem;
	return "";
}

std::string Work::run()
{
	for (unsigned number = 0; number < shape_.executions; number++)
		if (std::string problem = execute(number); !problem.empty())
			return problem;
	return verify();
}

} // namespace allocator
