// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the guest's books say before and after a test: video memory given out, address spaces, references to the driver, pages that
 * Linux has and nobody accounts for, charges of a control group. Whatever a test does, it must leave them as it found them.
 */
#ifndef TANDEM_TEST_LEDGER_HPP
#define TANDEM_TEST_LEDGER_HPP

#include <cstdint>
#include <map>
#include <string>

namespace ledger {

/* Names of the GPUs that the driver has: tandem0, tandem1 ... */
std::string debugfs(unsigned gpu, const std::string &file);
unsigned gpus();
std::string pci_address(unsigned gpu); /* "0000:01:00.0" */

/*
 * Pages that were just made wait in small batches, one for each processor, and are held by them: neither can they move nor, when
 * their process is gone, be freed. This empties the batches.
 */
void empty_page_batches();

/* A line of debugfs "vram" of a GPU, in pages or blocks. */
std::uint64_t vram(const std::string &name, unsigned gpu = 0);

class Books {
public:
	static Books read();

	/* A line each for what is not as it was in `before`; "" if all is. */
	std::string difference(const Books &before) const;

	/* So many pages may have been retired meanwhile. */
	void allow_retired(std::uint64_t pages) { retired_ = pages; }

private:
	struct Entry {
		std::uint64_t value;
		std::uint64_t slack; /* what others in the guest may have changed */
	};

	std::map<std::string, Entry> entries_;
	std::uint64_t retired_ = 0;
};

/* Reads the books until they agree with `before`: what was freed by a work item or after an RCU period needs a moment. */
std::string difference_after_a_while(const Books &before, std::uint64_t retired);

/*
 * What is charged to a group whose processes are gone, as a sentence; "" if nothing is. Kernel objects that Linux keeps for later
 * (slabs) do not count, if they are few, nor do file pages.
 */
std::string lost_charges_after_a_while(const std::string &group);

} // namespace ledger

#endif
