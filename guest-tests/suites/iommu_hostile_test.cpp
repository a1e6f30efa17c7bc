// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A device that sends whatever it likes to the IOMMU: PASIDs that are nobody's, or another device's; requests that are not
 * translated; page requests without number. The guest survives, nobody's memory is touched, and the GPU works on. Needs QEMU's
 * pci-svm-testdev beside the GPU, and TANDEM_TRANSLATION=sva.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>

#include "mm_test.hpp"

using namespace mm_test;

namespace {

/* Registers and commands of the test device (its header in QEMU's source, hw/misc/pci-svm-testdev.h). */
enum svm_register : unsigned {
	MAGIC = 0x00,
	COMMAND = 0x04,
	PASID = 0x08,
	FLAGS = 0x0c,
	ADDRESS = 0x10,
	LENGTH = 0x18,
	DATA = 0x20,
	RESULT = 0x28,
	ATS_PERM = 0x34,
	RESPONSE_COUNT = 0x48,
	RESPONSE_CODE = 0x54,
};
enum svm_command : std::uint32_t { TRANSLATE = 1, DMA_READ, DMA_WRITE, PAGE_REQUEST, CLEAR };
constexpr std::uint32_t magic_value = 0x314d5653, no_pasid = ~0u;
constexpr std::uint32_t flag_read = 1, flag_write = 2, flag_last = 16;
constexpr std::uint32_t flag_group(std::uint32_t group) { return (group & 0x1ff) << 16; }

/* The device, found by its numbers and driven from here: it has no driver. */
class TestDevice {
public:
	TestDevice()
	{
		const std::string all = "/sys/bus/pci/devices/";
		DIR *devices = opendir(all.c_str());

		while (dirent *entry = devices ? readdir(devices) : nullptr) {
			std::string path = all + entry->d_name;
			if (entry->d_name[0] != '.' && read_file(path + "/vendor") == "0x1234\n" &&
			    read_file(path + "/device") == "0x5356\n")
				path_ = path;
		}
		if (devices)
			closedir(devices);
		if (path_.empty())
			throw std::runtime_error("there is no pci-svm-testdev in this machine");
		write_config(0x04, 0x0006, 2); /* memory and bus mastering */
		int file = open((path_ + "/resource0").c_str(), O_RDWR | O_SYNC | O_CLOEXEC);
		registers_ = static_cast<volatile char *>(mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
		close(file);
		if (registers_ == MAP_FAILED || read32(MAGIC) != magic_value)
			throw std::runtime_error("the registers of the pci-svm-testdev cannot be had");
	}
	~TestDevice() { munmap(const_cast<char *>(registers_), page_bytes); }
	TestDevice(const TestDevice &) = delete;
	TestDevice &operator=(const TestDevice &) = delete;

	std::uint32_t read32(unsigned at) const { return *reinterpret_cast<volatile std::uint32_t *>(registers_ + at); }
	void write32(unsigned at, std::uint32_t value) { *reinterpret_cast<volatile std::uint32_t *>(registers_ + at) = value; }
	void write64(unsigned at, std::uint64_t value) { *reinterpret_cast<volatile std::uint64_t *>(registers_ + at) = value; }

	/* The command's result: below 0 an errno. */
	std::int32_t send(svm_command command, std::uint32_t pasid, const void *address, std::uint32_t flags)
	{
		write32(PASID, pasid);
		write64(ADDRESS, reinterpret_cast<std::uintptr_t>(address));
		write64(LENGTH, page_bytes);
		write32(FLAGS, flags);
		write32(COMMAND, command);
		return static_cast<std::int32_t>(read32(RESULT));
	}

	/* What a translation of the page grants. */
	std::uint32_t granted(std::uint32_t pasid, const void *address)
	{
		std::int32_t answers = send(TRANSLATE, pasid, address, flag_read | flag_write);

		return answers > 0 ? read32(ATS_PERM) & (flag_read | flag_write) : 0;
	}

	/* Whatever Linux thinks of it. */
	void enable_page_requests()
	{
		constexpr std::uint32_t pri_capability = 0x13;
		unsigned at = 0x100;

		while (at && (read_config(at, 4) & 0xffff) != pri_capability)
			at = read_config(at, 4) >> 20;
		if (!at)
			throw std::runtime_error("the pci-svm-testdev has no page request capability");
		write_config(at + 0x0c, 512, 4);
		write_config(at + 0x04, 1, 2);
	}

private:
	std::uint32_t read_config(unsigned at, unsigned bytes) const
	{
		std::uint32_t value = 0;
		int file = open((path_ + "/config").c_str(), O_RDONLY | O_CLOEXEC);

		EXPECT_EQ(pread(file, &value, bytes, at), static_cast<ssize_t>(bytes));
		close(file);
		return value;
	}
	void write_config(unsigned at, std::uint32_t value, unsigned bytes)
	{
		int file = open((path_ + "/config").c_str(), O_RDWR | O_CLOEXEC);

		EXPECT_EQ(pwrite(file, &value, bytes, at), static_cast<ssize_t>(bytes));
		close(file);
	}

	std::string path_;
	volatile char *registers_;
};

class IommuHostile : public MmTest {
protected:
	TestDevice hostile_;

	std::uint32_t own_pasid() { return tandem_bus_pasid(device().get()); }
};

TEST_F(IommuHostile, a_pasid_that_is_nobodys)
{
	Mapping region(bytes);

	region.words()[0] = 0x5ec3e7;
	for (std::uint32_t pasid : {own_pasid() + 1000, 0xfffffu, 0x100000u, 0x7fffffffu}) {
		EXPECT_EQ(hostile_.granted(pasid, region.get()), 0u) << pasid;
		hostile_.write64(DATA, 0xbad);
		EXPECT_NE(hostile_.send(DMA_WRITE, pasid, region.get(), flag_write), 0) << pasid;
	}
	EXPECT_EQ(region.words()[0], 0x5ec3e7u);
	expect_the_gpu_works();
}

/* A PASID means something for the device that Linux bound the process for, and for no other. */
TEST_F(IommuHostile, the_pasid_of_a_process_that_the_gpu_works_for)
{
	Mapping region(bytes);

	ASSERT_NE(own_pasid(), 0u);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] {
		for (std::uint64_t page = 0; page < pages; page++) {
			EXPECT_EQ(hostile_.granted(own_pasid(), region.words(page)), 0u);
			hostile_.write64(DATA, 0xbad);
			EXPECT_NE(hostile_.send(DMA_WRITE, own_pasid(), region.words(page), flag_write), 0);
			EXPECT_NE(hostile_.send(DMA_READ, own_pasid(), region.words(page), flag_read), 0);
		}
	}));
	finish_tally();
}

/* Linux lets every device ask that can; for a process that it did not bind the device to, the answer is no. */
TEST_F(IommuHostile, page_requests_for_somebody_elses_process)
{
	constexpr std::uint32_t invalid = 1;
	Mapping region(bytes);

	hostile_.write32(COMMAND, CLEAR);
	hostile_.enable_page_requests();
	ASSERT_EQ(hostile_.send(PAGE_REQUEST, own_pasid(), region.get(), flag_read | flag_write | flag_last), 0);
	ASSERT_TRUE(tally::wait_sleeping([&] { return hostile_.read32(RESPONSE_COUNT) == 1; }));
	EXPECT_EQ(hostile_.read32(RESPONSE_CODE), invalid);
	EXPECT_EQ(pagemap(region.get()) & pagemap_present, 0u) << "a page was made for it";
	expect_the_gpu_works();
}

/* More than the queue holds, of PASIDs that exist and that do not, first ones of groups that never end and last ones of none. */
TEST_F(IommuHostile, page_requests_without_number)
{
	Mapping region(bytes);

	hostile_.enable_page_requests();
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] {
		for (std::uint32_t i = 0; i < 20'000; i++)
			hostile_.send(PAGE_REQUEST, i % 3 ? own_pasid() : own_pasid() + i, region.words(i % pages),
				      flag_read | (i % 2 ? flag_write : 0) | flag_group(i) | (i % 5 ? 0 : flag_last));
	}));
	finish_tally();
	expect_the_gpu_works();
}

} // namespace
