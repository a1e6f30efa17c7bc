# SPDX-License-Identifier: GPL-2.0-or-later
"""Tandem's front end: the Python package behind the command ./tandem. Standard library only.

Two halves. The *setup* half (setup, artifacts, build_*, fetch, cache, progress) turns a checkout and a few pinned source
archives into a QEMU, a guest kernel, a driver and programs, all kept in a cache outside the checkout. The *use* half (cli,
run, boot, test, ...) boots them. The seam between the two is artifacts.ensure().
"""
