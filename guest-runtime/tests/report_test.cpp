// SPDX-License-Identifier: GPL-2.0-or-later
// The text of a fault report: work item, disassembled code, registers.
#include <gtest/gtest.h>

#include <sys/mman.h>

#include <string>

extern "C" {
#include "../src/disassemble.h"
#include "../src/report.h"
}

namespace {

constexpr std::uint32_t load_a1 = 0x00853583;   // ld a1, 8(a0)
constexpr std::uint32_t barrier = 0x0000000b;
constexpr std::uint32_t ballot_t0_a3 = 0x0006a28b;
constexpr std::uint32_t shuffle_s1_a0_t6 = 0x01f5348b;
constexpr std::uint32_t fence_device_w_rw = 0x0230c00b;
constexpr std::uint32_t amoadd_device = 0x06b532ab;
constexpr std::uint32_t lr_workgroup = 0x100522db;
constexpr std::uint32_t not_an_instruction = 0xffffffff;

std::string disassemble(std::uint32_t word)
{
	char text[96];

	tandem_disassemble(word, 0x1000, text, sizeof(text));
	return text;
}

tandem_wave_report some_report()
{
	tandem_wave_report report{};

	report.version = TANDEM_WAVE_REPORT_VERSION;
	report.pc = 0x7f0000001000;
	report.packet = 5;
	report.lane = 2;
	report.wave = 1;
	report.compute_unit = 3;
	report.active_lanes = 4;
	report.live_lanes = 0xffff;
	report.local_id[0] = 34;
	report.group_id[1] = 7;
	report.x[10] = 0x123456789abc;
	report.x[31] = ~0ull;
	return report;
}

std::string format(const tandem_wave_report &report, const tandem_report_code &code, std::size_t room = 8192)
{
	std::string text(room, '#');

	tandem_report_format(&report, &code, text.data(), room);
	return text.c_str();
}

tandem_report_code code_with(std::uint32_t failing)
{
	tandem_report_code code{};

	for (unsigned n = 0; n < TANDEM_REPORT_CODE; n++)
		code.word[n] = load_a1, code.readable[n] = true;
	code.word[TANDEM_REPORT_CODE / 2] = failing;
	return code;
}

TEST(Disassemble, NamesOurOwnInstructions)
{
	EXPECT_EQ(disassemble(barrier), "tandem.barrier");
	EXPECT_EQ(disassemble(ballot_t0_a3), "tandem.ballot t0, a3");
	EXPECT_EQ(disassemble(shuffle_s1_a0_t6), "tandem.shuffle s1, a0, t6");
	EXPECT_EQ(disassemble(fence_device_w_rw), "tandem.fence.device w, rw");
	EXPECT_EQ(disassemble(amoadd_device), "tandem.amoadd.d.aqrl.device t0, a1, (a0)");
	EXPECT_EQ(disassemble(lr_workgroup), "tandem.lr.w.workgroup t0, (a0)");
	EXPECT_EQ(disassemble(lr_workgroup | 1u << 20), ".word 0x101522db") << "LR with a second operand";
}

TEST(Disassemble, ShowsWhatIsNoInstructionAsWord)
{
	EXPECT_EQ(disassemble(not_an_instruction), ".word 0xffffffff");
	EXPECT_EQ(disassemble(0), ".word 0x00000000");
	EXPECT_EQ(disassemble(0x0000500b), ".word 0x0000500b") << "custom-0 with a function that is not ours";
}

TEST(Disassemble, KnowsTheStandardInstructions)
{
#ifndef TANDEM_HAVE_CAPSTONE
	GTEST_SKIP() << "built without Capstone";
#endif
	EXPECT_EQ(disassemble(load_a1), "ld a1, 8(a0)");
	EXPECT_EQ(disassemble(0x00100073), "ebreak");
	EXPECT_NE(disassemble(0x06b5352f).find("amoadd.d"), std::string::npos);
	EXPECT_NE(disassemble(0x02a5f553).find("fadd.d"), std::string::npos);
}

TEST(Report, NamesTheWorkItem)
{
	std::string text = format(some_report(), code_with(load_a1));

	EXPECT_NE(text.find("work item (34, 0, 0) of workgroup (0, 7, 0), packet 5"), std::string::npos) << text;
	EXPECT_NE(text.find("lane 2 of wavefront 1 on compute unit 3"), std::string::npos) << text;
	EXPECT_NE(text.find("0x00000004"), std::string::npos) << text;
}

TEST(Report, MarksTheInstructionThatFailed)
{
	std::string text = format(some_report(), code_with(barrier));

	EXPECT_NE(text.find("=> 0x7f0000001000  0000000b  tandem.barrier"), std::string::npos) << text;
	EXPECT_NE(text.find("   0x7f0000000ffc  00853583"), std::string::npos) << text;
	EXPECT_NE(text.find("   0x7f0000001004  00853583"), std::string::npos) << text;
}

TEST(Report, ShowsRegistersByTheirNames)
{
	std::string text = format(some_report(), code_with(load_a1));

	EXPECT_NE(text.find("a0   0000123456789abc"), std::string::npos) << text;
	EXPECT_NE(text.find("t6   ffffffffffffffff"), std::string::npos) << text;
	EXPECT_NE(text.find("all float registers are 0"), std::string::npos) << text;
}

TEST(Report, ShowsFloatRegistersThatAreInUse)
{
	tandem_wave_report report = some_report();

	report.f[10] = 0x3ff0000000000000;
	report.fcsr = 0x21;
	std::string text = format(report, code_with(load_a1));
	EXPECT_NE(text.find("fa0  3ff0000000000000"), std::string::npos) << text;
	EXPECT_NE(text.find("fcsr 0x21"), std::string::npos) << text;
}

TEST(Report, CodeThatIsNotThereIsSaid)
{
	tandem_report_code none{};

	EXPECT_NE(format(some_report(), none).find("=> 0x7f0000001000  nothing is mapped here"), std::string::npos);
}

TEST(Report, IsCutWhereTheRoomEnds)
{
	std::string whole = format(some_report(), code_with(load_a1));

	for (std::size_t room : {std::size_t{1}, std::size_t{2}, std::size_t{100}, whole.size(), whole.size() + 1})
		EXPECT_EQ(format(some_report(), code_with(load_a1), room), whole.substr(0, room - 1)) << room;
}

TEST(Report, ReadsCodeUpToTheEndOfAMapping)
{
	constexpr std::size_t page = 4096;
	auto *memory = static_cast<char *>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ASSERT_NE(memory, MAP_FAILED);
	ASSERT_EQ(munmap(memory + page, page), 0);
	auto *last = reinterpret_cast<std::uint32_t *>(memory + page) - 1;
	tandem_report_code code;

	*last = load_a1;
	tandem_report_read_code(reinterpret_cast<std::uintptr_t>(last), &code);
	EXPECT_TRUE(code.readable[TANDEM_REPORT_CODE / 2]);
	EXPECT_EQ(code.word[TANDEM_REPORT_CODE / 2], load_a1);
	EXPECT_TRUE(code.readable[0]);
	EXPECT_FALSE(code.readable[TANDEM_REPORT_CODE / 2 + 1]);
	munmap(memory, page);
}

} // namespace
