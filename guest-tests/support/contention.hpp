// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CPU's side of kernels/contend.h: threads and the GPU fight for one structure until both have done their share, and what
 * is found in it at the end must be exact. CPU threads go on for as long as the GPU is at work, so the two really meet.
 */
#ifndef TANDEM_CONTENTION_HPP
#define TANDEM_CONTENTION_HPP

#include <cstdint>
#include <functional>
#include <string>

#include "../kernels/contend.h"
#include "tandem/tandem.hpp"

namespace contention {

/* Where atomics of this machine's first GPU are atomic against the CPUs; read from the driver. */
enum class Mode { Pcie, Exclusive, Vram };
Mode mode();
const char *mode_name();

struct Plan {
	std::uint64_t operations = 10000; /* of all participants together, at least; of a lock: updates of what it guards */
	unsigned threads = 4;
	std::uint32_t lanes = 16;
	double seconds = 120; /* then everybody is told to stop, and that is a failure */
	double stuck_seconds = 0; /* not 0: whoever makes no round for so long is stuck, and everybody is told to stop */
	int map_flags = 0;    /* of the memory, beside MAP_PRIVATE | MAP_ANONYMOUS */
	/* Called again and again on the calling thread while they fight, with the memory, until it says that it has done enough. */
	std::function<bool(void *memory, std::uint64_t bytes)> meanwhile;
	std::function<void(double part)> progress; /* called there, too: how much is done, 0 to 1 */
};

struct Outcome {
	bool finished = false;      /* in time, and the GPU reported no error */
	bool stuck = false;         /* somebody waited for what will never come */
	bool exact = false;
	std::uint64_t by_cpu = 0;   /* rounds: of operations, or of a lock's guarded words */
	std::uint64_t by_gpu = 0;
	double seconds = 0;
	std::string text;           /* what was expected and found, or what went wrong */

	bool good() const { return finished && exact; }
};

Outcome counters(const tandem::Device &device, const Plan &plan);
Outcome ticket_lock(const tandem::Device &device, const Plan &plan);
Outcome mcs_lock(const tandem::Device &device, const Plan &plan);
Outcome queue(const tandem::Device &device, const Plan &plan);
Outcome hash_table(const tandem::Device &device, const Plan &plan);
Outcome operations64(const tandem::Device &device, const Plan &plan); /* lanes + threads at most 32 */
Outcome operations32(const tandem::Device &device, const Plan &plan);

struct Contest {
	const char *name;
	Outcome (*run)(const tandem::Device &, const Plan &);
};

inline constexpr Contest contests[] = {
	{"counters", counters}, {"ticket-lock", ticket_lock}, {"mcs-lock", mcs_lock}, {"queue", queue},
	{"hash-table", hash_table}, {"operations-64", operations64}, {"operations-32", operations32},
};

} // namespace contention

#endif
