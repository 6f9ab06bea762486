"""How steps tell what they are doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """The listener's side."""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None:
        """Say how far a stage has come; a new name ends the stage before it."""

    def note(self, line: str) -> None:
        """Say something that stays on the screen."""
