// SPDX-License-Identifier: GPL-2.0-or-later
#include "uffd.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace mm_uffd {

namespace {

constexpr std::uint64_t page_bytes = 4096;

/* Newer than some kernels' headers. */
struct move_request {
	std::uint64_t to, from, bytes, mode;
	std::int64_t moved;
};

struct poison_request {
	std::uint64_t start, bytes, mode;
	std::int64_t updated;
};

constexpr unsigned long move_ioctl = _IOWR(UFFDIO, 0x05, move_request);
constexpr unsigned long poison_ioctl = _IOWR(UFFDIO, 0x08, poison_request);

void check(int result, const char *what)
{
	if (result)
		throw std::system_error(errno, std::generic_category(), what);
}

int error_of(int result)
{
	return result ? errno : 0;
}

} // namespace

bool Uffd::has(std::uint64_t features)
{
	int file = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
	uffdio_api api = {UFFD_API, 0, 0};

	check(file < 0, "userfaultfd");
	int result = ioctl(file, UFFDIO_API, &api);
	close(file);
	return !result && (api.features & features) == features;
}

Uffd::Uffd(std::uint64_t features)
	: file_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK))), stop_(eventfd(0, EFD_CLOEXEC))
{
	uffdio_api api = {UFFD_API, features, 0};

	check(file_ < 0, "userfaultfd");
	check(ioctl(file_, UFFDIO_API, &api), "UFFDIO_API");
}

Uffd::~Uffd()
{
	std::uint64_t one = 1;

	if (server_.joinable() && write(stop_, &one, sizeof(one)) == sizeof(one))
		server_.join();
	close(file_);
	close(stop_);
}

void Uffd::watch(void *region, std::uint64_t bytes, std::uint64_t modes) const
{
	uffdio_register request = {{reinterpret_cast<std::uintptr_t>(region), bytes}, modes, 0};

	check(ioctl(file_, UFFDIO_REGISTER, &request), "UFFDIO_REGISTER");
}

void Uffd::unwatch(void *region, std::uint64_t bytes) const
{
	uffdio_range request = {reinterpret_cast<std::uintptr_t>(region), bytes};

	check(ioctl(file_, UFFDIO_UNREGISTER, &request), "UFFDIO_UNREGISTER");
}

void Uffd::run(const std::function<void(const Event &)> &function)
{
	pollfd entries[2] = {{file_, POLLIN, 0}, {stop_, POLLIN, 0}};
	uffd_msg message;

	while (poll(entries, 2, -1) >= 0 && !entries[1].revents)
		while (read(file_, &message, sizeof(message)) == sizeof(message))
			if (message.event == UFFD_EVENT_PAGEFAULT) {
				/* Before the answer: who waited for it may look at the count at once. */
				served_++;
				function({message.arg.pagefault.address & -page_bytes, message.arg.pagefault.flags});
			}
}

void Uffd::serve(const std::function<void(const Event &)> &function)
{
	server_ = std::thread([this, function] { run(function); });
}

int Uffd::copy(std::uint64_t to, const void *from, bool write_protected) const
{
	uffdio_copy request = {to, reinterpret_cast<std::uintptr_t>(from), page_bytes,
			       write_protected ? UFFDIO_COPY_MODE_WP : 0, 0};

	return error_of(ioctl(file_, UFFDIO_COPY, &request));
}

int Uffd::zero(std::uint64_t to) const
{
	uffdio_zeropage request = {{to, page_bytes}, 0, 0};

	return error_of(ioctl(file_, UFFDIO_ZEROPAGE, &request));
}

int Uffd::go_on(std::uint64_t at) const
{
	uffdio_continue request = {{at, page_bytes}, 0, 0};

	return error_of(ioctl(file_, UFFDIO_CONTINUE, &request));
}

int Uffd::poison(std::uint64_t at) const
{
	poison_request request = {at, page_bytes, 0, 0};

	return error_of(ioctl(file_, poison_ioctl, &request));
}

int Uffd::move(std::uint64_t to, std::uint64_t from) const
{
	move_request request = {to, from, page_bytes, 0, 0};

	return error_of(ioctl(file_, move_ioctl, &request));
}

int Uffd::wake(std::uint64_t at) const
{
	uffdio_range request = {at, page_bytes};

	return error_of(ioctl(file_, UFFDIO_WAKE, &request));
}

int Uffd::protect(const void *region, std::uint64_t bytes, bool protect) const
{
	uffdio_writeprotect request = {{reinterpret_cast<std::uintptr_t>(region), bytes},
				       protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0};

	return error_of(ioctl(file_, UFFDIO_WRITEPROTECT, &request));
}

} // namespace mm_uffd
