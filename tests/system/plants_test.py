#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The simulator finds faults that were planted (R-10.8)."""
import os
import sys

TOOL = os.path.join(os.path.dirname(__file__), "../../tools/sim-plants")
os.execv(sys.executable, [sys.executable, os.path.abspath(TOOL)])
