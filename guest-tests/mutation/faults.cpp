// SPDX-License-Identifier: GPL-2.0-or-later
/* Linux changes memory while a fault of the GPU is served there: what was looked at is not mapped. */
#include "fixture.hpp"

using namespace mutation;

namespace {

class Faults : public Provocation {
protected:
	void drop_during_a_fault(const std::string &place)
	{
		Region region(1);

		change_during_a_fault(place, region.get(), [&] { ASSERT_SYS(madvise(region.get(), page_bytes, MADV_DONTNEED)); });
	}
};

TEST_F(Faults, a_page_goes_between_the_look_and_the_commit)
{
	drop_during_a_fault("looked");
}

TEST_F(Faults, a_page_goes_between_the_last_check_and_the_commit)
{
	drop_during_a_fault("checked");
}

} // namespace
