"""Daft, imported in one place: it reads its switches when it is imported, and it must not call home or draw bars."""

import os

os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")

import daft

__all__ = ["daft"]
