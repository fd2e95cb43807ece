"""Exported students: files that run without their run folder, their model card, and predictions from them."""
