// SPDX-License-Identifier: GPL-2.0-or-later
/* How a test with a named parameter is called: by the parameter's name, with '_' for the '-' that GoogleTest does not take. */
#ifndef TANDEM_TEST_PARAMETER_NAME_HPP
#define TANDEM_TEST_PARAMETER_NAME_HPP

#include <algorithm>
#include <string>

inline constexpr auto parameter_name = [](const auto &info) {
	std::string name = info.param.name;

	std::replace(name.begin(), name.end(), '-', '_');
	return name;
};

#endif
