// SPDX-License-Identifier: GPL-2.0-or-later
/* main() of all suites. Started as "NAME --be-quiet-and-exit" it does just that: a target for exec. */
#include <gtest/gtest.h>

#include <cstring>

int main(int argc, char **argv)
{
	if (argc == 2 && std::strcmp(argv[1], "--be-quiet-and-exit") == 0)
		return 0;
	::testing::InitGoogleTest(&argc, argv);
	return RUN_ALL_TESTS();
}
