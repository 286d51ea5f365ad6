"""Shared parts of the command lines."""
