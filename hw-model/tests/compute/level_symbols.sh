#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The lane loops are compiled for several x86-64 levels into one program. A symbol that the linker may merge (weak, vague linkage)
# could bring code of one level to a host that lacks it. usage: level_symbols.sh LIBRARY...
set -eu
bad=$(nm -C "$@" | grep -E ' [WVuw] ' | grep -v 'DW.ref.__gxx_personality_v0' || true)
if [ -n "$bad" ]; then
  printf 'mergeable symbols in libraries of one level:\n%s\n' "$bad"
  exit 1
fi
nm -C "$1" | grep -q 'fill_memory' || { echo "nm shows no fill_memory in $1: is this the right library?"; exit 1; }
