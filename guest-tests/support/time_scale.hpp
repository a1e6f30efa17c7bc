// SPDX-License-Identifier: GPL-2.0-or-later
/* How slow this guest is: bounds on waiting are for the default kernel; one full of checks says how many times as much it needs. */
#ifndef TANDEM_TIME_SCALE_HPP
#define TANDEM_TIME_SCALE_HPP

#include <algorithm>
#include <cstdlib>

/* At least 1; from the environment, which the front end fills in. */
inline int time_scale()
{
	static const int scale = [] {
		const char *text = std::getenv("TANDEM_TIME_SCALE");
		return std::max(1, text ? std::atoi(text) : 1);
	}();
	return scale;
}

#endif
