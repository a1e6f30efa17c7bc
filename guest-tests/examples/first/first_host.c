/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <tandem/tandem.h>

int main(void)
{
	struct tandem_device *gpu; struct tandem_queue *queue; struct tandem_module *module;
	const struct tandem_kernel_descriptor *scale;
	double data[64];
	struct { double *data; double factor; } arguments = {data, 0.5};

	for (int i = 0; i < 64; i++)
		data[i] = i;
	if (tandem_open(NULL, &gpu) || tandem_queue_create(gpu, NULL, &queue) ||
	    tandem_module_find(gpu, "first.elf", &module) || tandem_module_kernel(module, "scale", &scale) ||
	    tandem_run(queue, &(struct tandem_launch){.kernel = scale, .grid = {64}, .group = {32}, .arguments = &arguments},
		       TANDEM_FOREVER))
		return fprintf(stderr, "%s\n", tandem_error_text()), 1;
	printf("63 * 0.5 = %g, computed by the GPU on the CPU's stack\n", data[63]);
	tandem_close(gpu);
}
