// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a soak thread does to its region when its pages may also lie in the GPU's memory: it moves them, makes wishes, reads them as
 * the CPU, and drives others out. Each operation leaves the contents as they must be.
 */
#ifndef TANDEM_SOAK_DEVICE_OPERATIONS_HPP
#define TANDEM_SOAK_DEVICE_OPERATIONS_HPP

#include "soak_operations.hpp"

namespace soak {

/* As much memory as the GPU has, shared by all threads, of constant contents: whoever brings a part of it drives others out. */
class Crowd {
public:
	explicit Crowd(const tandem::Device &device);
	~Crowd();
	Crowd(const Crowd &) = delete;
	Crowd &operator=(const Crowd &) = delete;

	char *part(std::uint64_t number) const { return start_ + number % parts() * part_bytes; }
	bool is_right(const char *part) const;
	std::uint64_t parts() const { return bytes_ / part_bytes; }

	static constexpr std::uint64_t part_bytes = 4ull << 20;

private:
	char *start_;
	std::uint64_t bytes_;
};

/* Those of soak_operations.hpp, and these, which come as often as all those together. */
const std::vector<Operation> &device_operations();

} // namespace soak

#endif
