// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gates of the test-only driver (guest-driver/tandem_mutate.h): they hold one of its threads at a named place, for one page,
 * until the test has done what must come in between. With no mutation chosen some places are never passed.
 */
#ifndef TANDEM_MUTATION_GATE_HPP
#define TANDEM_MUTATION_GATE_HPP

#include <cstdint>
#include <functional>
#include <string>

#include "sweeper.hpp"
#include "system.hpp"

namespace mutation {

constexpr char gate_path[] = "/sys/module/tandem/parameters/gate";

class Gate {
public:
	Gate(const std::string &place, const void *page)
	{
		char address[32];

		std::snprintf(address, sizeof(address), " 0x%llx",
			      static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(page)));
		mm_system::write_file(gate_path, place + address);
	}
	~Gate() { open(); }
	Gate(const Gate &) = delete;
	Gate &operator=(const Gate &) = delete;

	void open() { mm_system::write_file(gate_path, "none"); }

	/* Until a thread of the driver waits there, or something shows that none will. */
	bool wait_held_or(const std::function<bool()> &instead) const
	{
		return sweeper::wait_until([&] { return mm_system::read_number(gate_path) > 0 || instead(); });
	}
};

} // namespace mutation

#endif
