// SPDX-License-Identifier: GPL-2.0-or-later
/* The loader's view of a kernel file: right ones are understood, spoilt ones refused with a sentence that says why. */
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "elf_builder.hpp"

extern "C" {
#include "../src/image.h"
}

namespace {

int parse(const std::vector<unsigned char> &file, tandem_image *image)
{
	return tandem_image_parse(image, file.data(), file.size(), "test.elf");
}

int parse(const ElfBuilder &builder)
{
	tandem_image image;

	return parse(builder.build(), &image);
}

void expect_refusal(const ElfBuilder &builder, const char *why)
{
	EXPECT_EQ(parse(builder), TANDEM_ERROR_FILE);
	EXPECT_NE(std::strstr(tandem_error_text(), why), nullptr) << "says: " << tandem_error_text();
	EXPECT_EQ(std::strncmp(tandem_error_text(), "test.elf: ", 10), 0) << tandem_error_text();
}

TEST(Image, UnderstandsARightFile)
{
	auto file = ElfBuilder().build();
	tandem_image image;

	ASSERT_EQ(parse(file, &image), 0) << tandem_error_text();
	EXPECT_EQ(image.segment_count, 2u);
	EXPECT_EQ(image.span, 0x4000u);
	EXPECT_EQ(image.relocation_count, 2u);
	EXPECT_EQ(image.needs_bytes, 16u);
	Elf64_Sym symbol;
	EXPECT_EQ(tandem_image_symbol(&image, 0, &symbol), nullptr);
	EXPECT_STREQ(tandem_image_symbol(&image, 1, &symbol), "work");
	EXPECT_STREQ(tandem_image_symbol(&image, 2, &symbol), "counter");
}

TEST(Image, PlacesSegmentsAndRelocates)
{
	auto file = ElfBuilder().build();
	tandem_image image;

	ASSERT_EQ(parse(file, &image), 0) << tandem_error_text();
	std::vector<unsigned char> memory(image.span);
	tandem_image_place(&image, memory.data());
	std::uint32_t code;
	std::uint64_t pointer;
	std::memcpy(&code, &memory[ElfBuilder::code_at], 4);
	std::memcpy(&pointer, &memory[ElfBuilder::pointer_at], 8);
	EXPECT_EQ(code, 0x00008067u);
	EXPECT_EQ(pointer, reinterpret_cast<std::uintptr_t>(memory.data()) + ElfBuilder::code_at);
}

TEST(Image, RefusesTheWrongMachineByName)
{
	ElfBuilder builder;

	builder.header.e_machine = EM_X86_64;
	expect_refusal(builder, "x86-64");
	builder.header.e_machine = 4711;
	expect_refusal(builder, "4711");
}

TEST(Image, RefusesOtherClassesAndByteOrders)
{
	ElfBuilder builder;

	builder.header.e_ident[EI_CLASS] = ELFCLASS32;
	expect_refusal(builder, "64-bit");
	builder = ElfBuilder();
	builder.header.e_ident[EI_DATA] = ELFDATA2MSB;
	expect_refusal(builder, "little-endian");
	builder = ElfBuilder();
	builder.header.e_ident[0] = 'M';
	expect_refusal(builder, "not an ELF file");
}

TEST(Image, RefusesWhatIsNotPositionIndependent)
{
	ElfBuilder builder;

	builder.header.e_type = ET_EXEC;
	expect_refusal(builder, "position-independent");
	builder.header.e_type = ET_REL;
	expect_refusal(builder, "not linked");
}

TEST(Image, RefusesCompressedInstructions)
{
	ElfBuilder builder;

	builder.header.e_flags |= EF_RISCV_RVC;
	expect_refusal(builder, "compressed");
}

TEST(Image, RefusesOtherRelocationsByName)
{
	ElfBuilder builder;

	builder.rela[1].r_info = ELF64_R_INFO(1, R_RISCV_64);
	expect_refusal(builder, "R_RISCV_64");
	builder.rela[1].r_info = ELF64_R_INFO(1, R_RISCV_JUMP_SLOT);
	expect_refusal(builder, "R_RISCV_JUMP_SLOT");
	builder.rela[1].r_info = ELF64_R_INFO(0, 200);
	expect_refusal(builder, "number 200");
}

TEST(Image, RefusesRelocationsOutsideWritableData)
{
	const std::uint64_t places[] = {ElfBuilder::code_at, ElfBuilder::data_at + ElfBuilder::data_memory - 7, ~0ull - 3, ~0ull};

	for (std::uint64_t at : places) {
		ElfBuilder builder;

		builder.rela[0].r_offset = at;
		expect_refusal(builder, "outside its writable data");
	}
}

TEST(Image, RefusesARelocationTableOutsideTheFile)
{
	ElfBuilder builder;

	builder.dynamic[0].d_un.d_ptr = ~0ull - 8;
	expect_refusal(builder, "relocation table");
	builder = ElfBuilder();
	builder.dynamic[1].d_un.d_val = sizeof(Elf64_Rela) * 100000;
	expect_refusal(builder, "relocation table");
	builder = ElfBuilder();
	builder.dynamic[1].d_un.d_val = 25;
	expect_refusal(builder, "strange size");
}

TEST(Image, RefusesSegmentsBeyondTheFileOrOverlapping)
{
	ElfBuilder builder;

	builder.data.p_offset = ~0ull - 4;
	expect_refusal(builder, "cut off");
	builder = ElfBuilder();
	builder.data.p_filesz = builder.data.p_memsz + 1;
	expect_refusal(builder, "");
	builder = ElfBuilder();
	builder.data.p_vaddr = ElfBuilder::code_at + 8;
	expect_refusal(builder, "shares a page");
	builder = ElfBuilder();
	builder.data.p_memsz = ~0ull;
	expect_refusal(builder, "limit");
	builder = ElfBuilder();
	builder.data.p_vaddr = ~0ull - 0xfff;
	expect_refusal(builder, "limit");
	builder = ElfBuilder();
	builder.data.p_flags |= PF_X;
	expect_refusal(builder, "both writable and executable");
}

TEST(Image, RefusesInterpretersLibrariesAndThreadLocals)
{
	ElfBuilder builder;

	builder.dynamic[3] = {DT_NEEDED, {1}};
	expect_refusal(builder, "shared library");
	builder = ElfBuilder();
	builder.code.p_type = PT_INTERP;
	expect_refusal(builder, "dynamic linker");
	builder = ElfBuilder();
	builder.code.p_type = PT_TLS;
	expect_refusal(builder, "thread-local");
}

TEST(Image, RefusesDamagedSymbols)
{
	ElfBuilder builder;

	builder.sections[1].sh_offset = ~0ull;
	expect_refusal(builder, "symbol table");
	builder = ElfBuilder();
	builder.sections[1].sh_link = 99;
	expect_refusal(builder, "symbol table");
	builder = ElfBuilder();
	builder.strings.back() = 'x';
	expect_refusal(builder, "names of its symbols");
	builder = ElfBuilder();
	builder.sections[1].sh_type = SHT_PROGBITS;
	expect_refusal(builder, "no symbols");
}

TEST(Image, IgnoresSymbolsThatLieOutside)
{
	ElfBuilder builder;
	tandem_image image;
	Elf64_Sym symbol;

	builder.symbols[1].st_name = 4000;
	builder.symbols[2].st_value = ~0ull - 2;
	auto file = builder.build();
	ASSERT_EQ(parse(file, &image), 0) << tandem_error_text();
	EXPECT_EQ(tandem_image_symbol(&image, 1, &symbol), nullptr);
	EXPECT_EQ(tandem_image_symbol(&image, 2, &symbol), nullptr);
}

TEST(Image, RefusesEachTruncation)
{
	auto whole = ElfBuilder().build();

	for (std::size_t bytes = 0; bytes < whole.size(); bytes++) {
		std::vector<unsigned char> file(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
		tandem_image image;

		EXPECT_EQ(parse(file, &image), TANDEM_ERROR_FILE) << "of " << bytes << " bytes";
	}
}

/* Under valgrind or ASan this finds what the bounds checks miss; without them it finds crashes. */
TEST(Image, SurvivesRandomDamage)
{
	auto whole = ElfBuilder().build();
	std::mt19937_64 random(20260101);

	for (int round = 0; round < 20000; round++) {
		auto file = whole;
		for (unsigned n = 1 + random() % 4; n > 0; n--)
			file[random() % file.size()] = static_cast<unsigned char>(random());
		tandem_image image;
		if (parse(file, &image))
			continue;
		std::vector<unsigned char> memory(image.span);
		tandem_image_place(&image, memory.data());
		for (std::size_t i = 0; i < image.symbol_count; i++) {
			Elf64_Sym symbol;
			const char *name = tandem_image_symbol(&image, i, &symbol);
			if (name) {
				EXPECT_LT(std::strlen(name), file.size());
			}
		}
	}
}

} // namespace
