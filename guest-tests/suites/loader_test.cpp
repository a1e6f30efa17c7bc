// SPDX-License-Identifier: GPL-2.0-or-later
/* Kernel files on their way into a process: what is mapped how, and what is refused with which words. */
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "../../guest-runtime/tests/elf_builder.hpp"
#include "gpu_test.hpp"

using namespace gpu_test;

namespace {

class LoaderTest : public GpuTest {
protected:
	int load(const std::vector<unsigned char> &file, tandem_module **module)
	{
		return tandem_module_load_memory(device().get(), file.data(), file.size(), "test.elf", module);
	}
	int load(const ElfBuilder &builder)
	{
		tandem_module *module = nullptr;
		int status = load(builder.build(), &module);

		tandem_module_unload(module);
		return status;
	}
	static bool says(const char *words) { return std::strstr(tandem_error_text(), words) != nullptr; }
};

/* The line of /proc/self/maps that holds the address: its protections, say "r--p". */
std::string protections_at(const void *address)
{
	std::ifstream maps("/proc/self/maps");
	auto wanted = reinterpret_cast<std::uintptr_t>(address);

	for (std::string line; std::getline(maps, line);) {
		unsigned long start, end;
		char protections[5];
		if (std::sscanf(line.c_str(), "%lx-%lx %4s", &start, &end, protections) == 3 && start <= wanted && wanted < end)
			return protections;
	}
	return "not mapped";
}

TEST_F(LoaderTest, a_kernel_has_a_right_descriptor)
{
	tandem::Kernel count = kernel("count");

	EXPECT_EQ(count->magic, TANDEM_KERNEL_MAGIC);
	EXPECT_EQ(count->abi_major, static_cast<unsigned>(TANDEM_ABI_MAJOR));
	EXPECT_NE(count->entry, 0u);
	EXPECT_EQ(count->group_bytes, 0u);
}

TEST_F(LoaderTest, needs_of_a_kernel_reach_its_descriptor)
{
	tandem::Kernel matmul = kernel("matmul", "matmul.elf");
	tandem::Kernel recurse = kernel("recurse", "test_compute.elf");

	EXPECT_EQ(matmul->group_bytes, 2u * 16 * 16 * 4);
	EXPECT_EQ(recurse->private_bytes, 2048u);
	EXPECT_EQ(kernel("diverge", "test_compute.elf")->private_bytes, 0u);
}

TEST_F(LoaderTest, code_is_read_only_and_never_executable_on_the_cpu)
{
	tandem::Module module = device().module("test_queue.elf").take();
	auto variable = module.symbol<std::uint64_t>("shared_variable");

	ASSERT_OK(variable);
	EXPECT_EQ(protections_at(reinterpret_cast<void *>((*module.kernel("count"))->entry)), "r--p");
	EXPECT_EQ(protections_at(*variable), "rw-p");
}

TEST_F(LoaderTest, variables_are_shared_and_pointers_relocated)
{
	tandem::Module module = device().module("test_queue.elf").take();
	std::uint64_t *variable = module.symbol<std::uint64_t>("shared_variable").take();
	std::uint64_t out[2] = {};
	compute_arguments arguments = {out, nullptr, 0, 3};

	EXPECT_EQ(*variable, 42u);
	*variable = 1234;
	ASSERT_OK(queue().run(module.kernel("use_variables").take(), {1}, {1}, &arguments, 0, time_limit_ns));
	EXPECT_EQ(out[0], 1234u);
	EXPECT_EQ(out[1], 7u) << "through a relocated pointer";
	EXPECT_EQ(*variable, 43u) << "the GPU's store";
}

TEST_F(LoaderTest, each_load_has_data_of_its_own)
{
	tandem::Module first = device().module("test_queue.elf").take(), second = device().module("test_queue.elf").take();

	*first.symbol<std::uint64_t>("shared_variable").take() = 5;
	EXPECT_EQ(*second.symbol<std::uint64_t>("shared_variable").take(), 42u);
}

TEST_F(LoaderTest, an_unknown_kernel_is_refused_with_the_names_there_are)
{
	tandem::Module module = device().module("vecadd.elf").take();
	auto missing = module.kernel("vecsub");

	ASSERT_FALSE(missing);
	EXPECT_EQ(missing.error().status, TANDEM_ERROR_NOT_FOUND);
	EXPECT_NE(missing.error().text.find("it has: vecadd"), std::string::npos) << missing.error().text;
	EXPECT_FALSE(module.symbol<int>("nothing"));
}

TEST_F(LoaderTest, static_functions_are_no_kernels)
{
	EXPECT_FALSE(device().module("test_compute.elf")->kernel("ackermann"));
}

TEST_F(LoaderTest, a_built_file_loads)
{
	EXPECT_EQ(load(ElfBuilder()), 0) << tandem_error_text();
}

TEST_F(LoaderTest, an_elf_of_the_wrong_machine_is_refused)
{
	tandem_module *module = nullptr;

	EXPECT_EQ(tandem_module_load(device().get(), "/proc/self/exe", &module), TANDEM_ERROR_FILE);
	EXPECT_TRUE(says("x86-64")) << tandem_error_text();
	EXPECT_EQ(module, nullptr);
}

TEST_F(LoaderTest, a_truncated_file_is_refused)
{
	auto file = ElfBuilder().build();
	tandem_module *module = nullptr;

	for (std::size_t bytes : {std::size_t{0}, std::size_t{3}, std::size_t{63}, std::size_t{100}, file.size() - 1}) {
		std::vector<unsigned char> part(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(bytes));
		EXPECT_EQ(load(part, &module), TANDEM_ERROR_FILE) << bytes;
	}
}

TEST_F(LoaderTest, bad_relocations_are_refused_by_name)
{
	ElfBuilder builder;

	builder.rela[0].r_info = ELF64_R_INFO(1, R_RISCV_JUMP_SLOT);
	EXPECT_EQ(load(builder), TANDEM_ERROR_FILE);
	EXPECT_TRUE(says("R_RISCV_JUMP_SLOT")) << tandem_error_text();
}

TEST_F(LoaderTest, a_file_without_kernels_is_refused)
{
	ElfBuilder builder;

	builder.symbols[1].st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC);
	EXPECT_EQ(load(builder), TANDEM_ERROR_FILE);
	EXPECT_TRUE(says("TANDEM_KERNEL")) << tandem_error_text();
}

TEST_F(LoaderTest, files_that_are_not_there_or_no_files_are_refused)
{
	tandem_module *module = nullptr;

	EXPECT_EQ(tandem_module_load(device().get(), "/nonexistent.elf", &module), TANDEM_ERROR_NOT_FOUND);
	EXPECT_EQ(tandem_module_load(device().get(), "/tmp", &module), TANDEM_ERROR_FILE) << tandem_error_text();
	EXPECT_EQ(tandem_module_find(device().get(), "nonexistent.elf", &module), TANDEM_ERROR_NOT_FOUND);
	EXPECT_TRUE(says("TANDEM_KERNEL_PATH")) << tandem_error_text();
}

TEST_F(LoaderTest, the_kernel_path_is_searched_first)
{
	char directory[] = "/tmp/tandem-XXXXXX";
	ASSERT_NE(mkdtemp(directory), nullptr);
	std::string path = std::string(directory) + "/vecadd.elf";
	std::ofstream(path) << "not an ELF file";
	setenv("TANDEM_KERNEL_PATH", (std::string("/nonexistent:") + directory).c_str(), 1);
	auto module = device().module("vecadd.elf");
	unsetenv("TANDEM_KERNEL_PATH");
	unlink(path.c_str());
	rmdir(directory);
	ASSERT_FALSE(module) << "found the installed one";
	EXPECT_NE(module.error().text.find(path), std::string::npos) << module.error().text;
}

} // namespace
