// SPDX-License-Identifier: GPL-2.0-or-later
/* Builds kernel files for the loader's tests: a right one, whose parts a test then spoils. */
#ifndef TANDEM_ELF_BUILDER_HPP
#define TANDEM_ELF_BUILDER_HPP

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

/*
 * One read-only code segment at 0x1000 with the kernel "work" (8 bytes) and one writable data segment at 0x2000 with a pointer
 * (relocated to the kernel), the dynamic section, one relocation, and a record of .tandem.kernels (relocated, too).
 */
class ElfBuilder {
public:
	static constexpr std::uint64_t code_at = 0x1000, data_at = 0x2000;
	static constexpr std::uint64_t pointer_at = data_at, needs_at = data_at + 0x10, dynamic_at = data_at + 0x40,
				       rela_at = data_at + 0xa0, data_bytes = 0x100, data_memory = 0x1800;

	Elf64_Ehdr header{};
	Elf64_Phdr code{}, data{}, dynamic_segment{};
	Elf64_Dyn dynamic[4]{};
	Elf64_Rela rela[2]{};
	Elf64_Sym symbols[3]{};
	std::string strings = std::string("\0work\0counter\0", 14);
	std::string section_names = std::string("\0.symtab\0.strtab\0.shstrtab\0.tandem.kernels\0", 43);
	Elf64_Shdr sections[5]{};

	ElfBuilder()
	{
		fill_header();
		fill_segments();
		fill_dynamic();
		fill_symbols();
		fill_sections();
	}

	std::vector<unsigned char> build() const
	{
		std::vector<unsigned char> file(total);
		const std::uint32_t ret = 0x00008067;
		const std::uint32_t needs[2] = {64, 1024};

		put(file, 0, header);
		put(file, phdrs, code);
		put(file, phdrs + sizeof(code), data);
		put(file, phdrs + 2 * sizeof(code), dynamic_segment);
		put(file, code_offset, ret);
		put(file, data_offset + (needs_at + 8 - data_at), needs);
		put(file, data_offset + (dynamic_at - data_at), dynamic);
		put(file, data_offset + (rela_at - data_at), rela);
		put(file, symbols_offset, symbols);
		std::memcpy(&file[strings_offset], strings.data(), strings.size());
		std::memcpy(&file[names_offset], section_names.data(), section_names.size());
		put(file, sections_offset, sections);
		return file;
	}

private:
	static constexpr std::size_t phdrs = 64, code_offset = 0x200, data_offset = 0x300, symbols_offset = 0x400,
				     strings_offset = 0x480, names_offset = 0x4c0, sections_offset = 0x500, total = 0x640;

	template <typename T> static void put(std::vector<unsigned char> &file, std::size_t at, const T &value)
	{
		std::memcpy(&file.at(at), &value, sizeof(value));
	}

	void fill_header()
	{
		std::memcpy(header.e_ident, ELFMAG, SELFMAG);
		header.e_ident[EI_CLASS] = ELFCLASS64;
		header.e_ident[EI_DATA] = ELFDATA2LSB;
		header.e_ident[EI_VERSION] = EV_CURRENT;
		header.e_type = ET_DYN;
		header.e_machine = EM_RISCV;
		header.e_version = EV_CURRENT;
		header.e_flags = EF_RISCV_FLOAT_ABI_DOUBLE;
		header.e_phoff = phdrs;
		header.e_phentsize = sizeof(Elf64_Phdr);
		header.e_phnum = 3;
		header.e_shoff = sections_offset;
		header.e_shentsize = sizeof(Elf64_Shdr);
		header.e_shnum = 5;
		header.e_shstrndx = 3;
	}

	void fill_segments()
	{
		code.p_type = data.p_type = PT_LOAD;
		code.p_flags = PF_R | PF_X;
		code.p_offset = code_offset;
		code.p_vaddr = code_at;
		code.p_filesz = code.p_memsz = 8;
		data.p_flags = PF_R | PF_W;
		data.p_offset = data_offset;
		data.p_vaddr = data_at;
		data.p_filesz = data_bytes;
		data.p_memsz = data_memory;
		dynamic_segment = data;
		dynamic_segment.p_type = PT_DYNAMIC;
		dynamic_segment.p_offset = data_offset + (dynamic_at - data_at);
		dynamic_segment.p_filesz = sizeof(dynamic);
	}

	void fill_dynamic()
	{
		dynamic[0] = {DT_RELA, {rela_at}};
		dynamic[1] = {DT_RELASZ, {sizeof(rela)}};
		dynamic[2] = {DT_RELAENT, {sizeof(Elf64_Rela)}};
		rela[0] = {pointer_at, ELF64_R_INFO(0, R_RISCV_RELATIVE), code_at};
		rela[1] = {needs_at, ELF64_R_INFO(0, R_RISCV_RELATIVE), code_at};
	}

	void fill_symbols()
	{
		symbols[1] = {1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), STV_DEFAULT, 1, code_at, 8};
		symbols[2] = {6, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), STV_DEFAULT, 2, pointer_at, 8};
	}

	void fill_sections()
	{
		sections[1] = {1, SHT_SYMTAB, 0, 0, symbols_offset, sizeof(symbols), 2, 1, 8, sizeof(Elf64_Sym)};
		sections[2] = {9, SHT_STRTAB, 0, 0, strings_offset, strings.size(), 0, 0, 1, 0};
		sections[3] = {17, SHT_STRTAB, 0, 0, names_offset, section_names.size(), 0, 0, 1, 0};
		sections[4] = {27, SHT_PROGBITS, SHF_ALLOC, needs_at, data_offset + (needs_at - data_at), 16, 0, 0, 8, 0};
	}
};

#endif
