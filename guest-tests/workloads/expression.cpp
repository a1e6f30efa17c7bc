// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CPU builds an expression with new and puts pointers to GPU functions into its nodes; lanes evaluate it by calling
 * through these pointers, as deep as the expression is, each on a stack of its own in the process's memory.
 */
#include <array>
#include <memory>
#include <random>

#include "../kernels/arguments.h"
#include "workload.hpp"

namespace {

using Apply = std::uint64_t (*)(const expression *, std::uint64_t);

enum Kind { CONSTANT, ARGUMENT, SUM, PRODUCT, ROTATE, CHOICE, TABLE, KINDS };

constexpr const char *function_names[KINDS] = {"apply_constant", "apply_argument", "apply_sum", "apply_product",
						"apply_rotate",	  "apply_choice",   "apply_table"};

class Builder {
public:
	Builder(const tandem::Module &module, std::uint64_t seed) : random_(seed)
	{
		for (int kind = 0; kind < KINDS; kind++)
			functions_[kind] = reinterpret_cast<Apply>(workload::need(module.symbol<void>(function_names[kind])));
	}

	/* A long way down on the left, a leaf on the right of each node. */
	const expression *build(std::uint64_t depth)
	{
		const expression *node = leaf();

		for (std::uint64_t level = 1; level < depth; level++)
			node = make(static_cast<Kind>(SUM + random_() % (KINDS - SUM)), node, leaf());
		return node;
	}

	/* What the functions of kernels/expression.c must compute; the CPU cannot call those. */
	std::uint64_t evaluate(const expression *node, std::uint64_t x) const
	{
		switch (kind_of(node)) {
		case CONSTANT:
			return node->constant;
		case ARGUMENT:
			return x + node->constant;
		case SUM:
			return evaluate(node->left, x) + evaluate(node->right, x);
		case PRODUCT:
			return evaluate(node->left, x) * (evaluate(node->right, x) | 1);
		case ROTATE:
			return rotate(evaluate(node->left, x), node->constant & 63);
		case CHOICE:
			return (x ^ node->constant) & 1 ? evaluate(node->left, x) : evaluate(node->right, x + 1);
		default:
			return through_table(node, x);
		}
	}

private:
	static std::uint64_t rotate(std::uint64_t value, std::uint64_t by) { return value << by | value >> (-by & 63); }

	std::uint64_t through_table(const expression *node, std::uint64_t x) const
	{
		std::uint64_t value = evaluate(node->left, x);

		for (std::uint64_t i = 0; i < 8; i++)
			value = (value ^ (node->constant * (i + 1) + x)) * 0x100000001b3ull;
		return value;
	}

	Kind kind_of(const expression *node) const
	{
		for (int kind = 0; kind < KINDS; kind++)
			if (functions_[kind] == node->apply)
				return static_cast<Kind>(kind);
		return KINDS;
	}

	const expression *leaf() { return make(static_cast<Kind>(random_() % SUM), nullptr, nullptr); }

	const expression *make(Kind kind, const expression *left, const expression *right)
	{
		nodes_.push_back(std::make_unique<expression>(expression{functions_[kind], left, right, random_()}));
		return nodes_.back().get();
	}

	std::mt19937_64 random_;
	std::array<Apply, KINDS> functions_;
	std::vector<std::unique_ptr<expression>> nodes_;
};

/* A frame of the largest function, and some. */
constexpr std::uint32_t frame_bytes = 160;

std::uint32_t stack_bytes(std::uint64_t depth)
{
	return static_cast<std::uint32_t>((depth + 8) * frame_bytes / 16 * 16);
}

} // namespace

int main(int argc, char **argv)
{
	std::uint64_t depth = 200, lanes = 256, seed = 1;

	workload::parse_options(argc, argv, "expression: evaluates the CPU's objects through pointers to functions, on deep stacks.",
				{{"depth", "calls inside one another", &depth, 1, 5000},
				 {"lanes", "work items, each with its own argument", &lanes, 1, 1 << 16},
				 {"seed", "for the expression", &seed, 0, UINT64_MAX}});
	workload::Session gpu("expression.elf");
	tandem_queue_options options{};
	options.scratch_lane_bytes = stack_bytes(depth);
	options.scratch_waves = 32;
	auto deep = workload::need(gpu.device.queue(&options));
	Builder builder(gpu.module, seed);
	const expression *root = builder.build(depth);
	std::vector<std::uint64_t> results(lanes);
	expression_arguments arguments = {root, results.data(), lanes};
	tandem_launch launch{};

	launch.kernel = gpu.kernel("expression");
	launch.grid[0] = static_cast<std::uint32_t>(lanes);
	launch.group[0] = 64;
	launch.private_bytes = stack_bytes(depth);
	launch.arguments = &arguments;
	workload::need(tandem::outcome(tandem_run(deep.get(), &launch, workload::Session::time_limit_ns)));
	std::uint64_t wrong = 0;
	for (std::uint64_t x = 0; x < lanes; x++)
		wrong += results[x] != builder.evaluate(root, x);
	return gpu.report("expression", wrong == 0,
			  "an expression of depth " + std::to_string(depth) + " evaluated by " + std::to_string(lanes) +
				  " lanes on stacks of " + std::to_string(stack_bytes(depth)) + " bytes, " + std::to_string(wrong) +
				  " results wrong");
}
