# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks that read sources instead of running them: kernel style, types and locks of the driver, the abi headers, licences."""
