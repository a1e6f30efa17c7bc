// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The C++20 layer over tandem.h: ownership by value types, errors as values. Nothing here throws. The contracts are those
 * of tandem.h; each object must be destroyed before the one it was made from.
 */
#ifndef TANDEM_HPP
#define TANDEM_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tandem/tandem.h"

namespace tandem {

/* What went wrong: the status, and this moment's tandem_error_text(). */
struct Error {
	tandem_status status;
	std::string text;

	static Error last(int status) { return {static_cast<tandem_status>(status), tandem_error_text()}; }
};

/* A value or an Error. Asking for the one that is not there ends the program with the error's text. */
template <typename T> class [[nodiscard]] Result {
public:
	Result(T value) : content_(std::move(value)) {}
	Result(Error error) : content_(std::move(error)) {}

	explicit operator bool() const { return std::holds_alternative<T>(content_); }

	T &value()
	{
		if (!*this)
			stop(error().text.c_str());
		return std::get<T>(content_);
	}
	T take() { return std::move(value()); }
	T *operator->() { return &value(); }
	T &operator*() { return value(); }

	const Error &error() const
	{
		if (*this)
			stop("there is no error to ask for");
		return std::get<Error>(content_);
	}

private:
	[[noreturn]] static void stop(const char *text)
	{
		std::fprintf(stderr, "tandem: %s\n", text);
		std::abort();
	}

	std::variant<T, Error> content_;
};

/* Success or an Error. */
using Outcome = Result<std::monostate>;

inline Outcome outcome(int status)
{
	if (status)
		return Error::last(status);
	return std::monostate{};
}

/* Calls a C function whose last argument is the out parameter, and wraps what it gives. */
template <typename Raw, typename Function, typename... Arguments>
Result<Raw> obtain(Function function, Arguments &&...arguments)
{
	Raw raw{};

	if (int status = function(std::forward<Arguments>(arguments)..., &raw))
		return Error::last(status);
	return raw;
}

struct Deleter {
	void operator()(tandem_device *device) const { tandem_close(device); }
	void operator()(tandem_queue *queue) const { tandem_queue_destroy(queue); }
	void operator()(tandem_module *module) const { tandem_module_unload(module); }
	void operator()(tandem_signal *signal) const { tandem_signal_destroy(signal); }
};

template <typename Raw> using Owner = std::unique_ptr<Raw, Deleter>;

/* A completion signal in memory of its own. */
class Signal {
public:
	static Result<Signal> create(std::int64_t value = 1)
	{
		auto raw = obtain<tandem_signal *>(tandem_signal_create, value);

		if (!raw)
			return raw.error();
		return Signal(*raw);
	}

	tandem_signal *get() const { return owner_.get(); }
	std::int64_t value() const { return tandem_signal_value(get()); }

private:
	explicit Signal(tandem_signal *raw) : owner_(raw) {}
	Owner<tandem_signal> owner_;
};

using Kernel = const tandem_kernel_descriptor *;

/* What a dispatch covers, in work items. */
struct Grid {
	std::uint32_t x = 1, y = 1, z = 1;
};

struct Group {
	std::uint16_t x = 64, y = 1, z = 1;
};

class Module {
public:
	explicit Module(tandem_module *raw) : owner_(raw) {}

	tandem_module *get() const { return owner_.get(); }
	Result<Kernel> kernel(const char *name) const { return obtain<Kernel>(tandem_module_kernel, get(), name); }

	/* A variable of the kernel file, shared by CPU and GPU. */
	template <typename T> Result<T *> symbol(const char *name) const
	{
		void *address;

		if (int status = tandem_module_symbol(get(), name, &address, nullptr))
			return Error::last(status);
		return static_cast<T *>(address);
	}

private:
	Owner<tandem_module> owner_;
};

class Queue {
public:
	explicit Queue(tandem_queue *raw) : owner_(raw) {}

	tandem_queue *get() const { return owner_.get(); }

	Outcome dispatch(Kernel kernel, Grid grid, Group group, const void *arguments, tandem_signal *completion = nullptr,
			 std::uint32_t lds_bytes = 0) const
	{
		tandem_launch what = launch(kernel, grid, group, arguments, lds_bytes);

		what.completion = completion;
		return outcome(tandem_dispatch(get(), &what));
	}

	/* Dispatches and waits. */
	Outcome run(Kernel kernel, Grid grid, Group group, const void *arguments, std::uint32_t lds_bytes = 0,
		    std::int64_t timeout_ns = TANDEM_FOREVER) const
	{
		tandem_launch what = launch(kernel, grid, group, arguments, lds_bytes);

		return outcome(tandem_run(get(), &what, timeout_ns));
	}

	Outcome wait(const Signal &signal, std::int64_t timeout_ns = TANDEM_FOREVER) const
	{
		return outcome(tandem_wait(get(), signal.get(), timeout_ns));
	}

	Result<tandem_ioc_queue_status> status() const
	{
		return obtain<tandem_ioc_queue_status>(tandem_queue_status, get());
	}

	std::string describe() const
	{
		char text[768];

		return tandem_queue_describe(get(), text, sizeof(text));
	}

	/* See tandem_queue_explain(). */
	std::string explain() const
	{
		char text[4096];

		return tandem_queue_explain(get(), text, sizeof(text));
	}

	Result<tandem_wave_report> report() const { return obtain<tandem_wave_report>(tandem_queue_report, get()); }

private:
	static tandem_launch launch(Kernel kernel, Grid grid, Group group, const void *arguments, std::uint32_t lds_bytes)
	{
		tandem_launch what{};

		what.kernel = kernel;
		what.grid[0] = grid.x, what.grid[1] = grid.y, what.grid[2] = grid.z;
		what.group[0] = group.x, what.group[1] = group.y, what.group[2] = group.z;
		what.group_bytes = lds_bytes;
		what.arguments = arguments;
		return what;
	}

	Owner<tandem_queue> owner_;
};

class Device {
public:
	explicit Device(tandem_device *raw) : owner_(raw) {}

	static Result<Device> open(const tandem_open_options *options = nullptr)
	{
		return wrap<Device>(obtain<tandem_device *>(tandem_open, options));
	}

	tandem_device *get() const { return owner_.get(); }
	Result<tandem_ioc_query> query() const { return obtain<tandem_ioc_query>(tandem_query, get()); }
	Result<tandem_ioc_stats> stats() const { return obtain<tandem_ioc_stats>(tandem_get_stats, get()); }

	Result<Queue> queue(const tandem_queue_options *options = nullptr) const
	{
		return wrap<Queue>(obtain<tandem_queue *>(tandem_queue_create, get(), options));
	}

	/* Pages moved; see tandem_prefetch(). */
	Result<std::uint64_t> prefetch(const void *address, std::size_t bytes, tandem_location location) const
	{
		return obtain<std::uint64_t>(tandem_prefetch, get(), address, bytes, location);
	}

	/* Where pages of the range are preferred from now on; its flags stay as they are. */
	Outcome prefer(const void *address, std::size_t bytes, tandem_location location) const
	{
		return set_range(address, bytes, {.fields = TANDEM_RANGE_PREFERRED, .preferred = location});
	}

	/* The range's TANDEM_RANGE_* flags from now on; the preferred location stays as it is. */
	Outcome advise(const void *address, std::size_t bytes, std::uint32_t flags) const
	{
		return set_range(address, bytes, {.fields = TANDEM_RANGE_FLAGS, .flags = flags});
	}

	/* Log2 of the bytes that one fault in the range moves from now on; 0: as the driver thinks best. */
	Outcome set_granularity(const void *address, std::size_t bytes, std::uint32_t granularity) const
	{
		return set_range(address, bytes, {.fields = TANDEM_RANGE_GRANULARITY, .granularity = granularity});
	}

	Result<tandem_ioc_range> range(const void *address) const
	{
		return obtain<tandem_ioc_range>(tandem_range_get, get(), address);
	}

	/* A byte for each page; see tandem_pages(). */
	Result<std::vector<std::uint8_t>> pages(const void *address, std::size_t bytes) const
	{
		std::vector<std::uint8_t> result(bytes / 4096);

		if (int status = tandem_pages(get(), address, bytes, result.data()))
			return Error::last(status);
		return result;
	}

	/* See tandem_retry(). */
	Outcome set_retry(tandem_retry_mode mode) const { return outcome(tandem_retry(get(), mode, nullptr)); }
	Result<tandem_retry_mode> retry() const { return obtain<tandem_retry_mode>(tandem_retry, get(), 0u); }

	/* See tandem_module_find(). */
	Result<Module> module(const char *name) const
	{
		return wrap<Module>(obtain<tandem_module *>(tandem_module_find, get(), name));
	}

private:
	struct Wishes {
		std::uint32_t fields = 0, preferred = 0, flags = 0, granularity = 0;
	};

	Outcome set_range(const void *address, std::size_t bytes, const Wishes &what) const
	{
		tandem_ioc_range wishes{};

		wishes.start = reinterpret_cast<std::uintptr_t>(address);
		wishes.length = bytes;
		wishes.fields = what.fields;
		wishes.preferred = what.preferred;
		wishes.flags = what.flags;
		wishes.granularity = what.granularity;
		return outcome(tandem_range_set(get(), &wishes));
	}

	template <typename Wrapper, typename Raw> static Result<Wrapper> wrap(Result<Raw> raw)
	{
		if (!raw)
			return raw.error();
		return Wrapper(*raw);
	}

	Owner<tandem_device> owner_;
};

} // namespace tandem

#endif
