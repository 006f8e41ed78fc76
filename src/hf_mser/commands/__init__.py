"""Subcommands of `mser` that belong to no other room: predicting and adapting."""
