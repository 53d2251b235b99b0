"""Stops a pre-training when it has written the history of some epochs."""

from crossask import files


def stop_at_epoch(monkeypatch, epoch: int) -> None:
    """Makes a pre-training raise KeyboardInterrupt at an epoch, until `monkeypatch.undo`."""
    saved = files.writing
    state = {"epochs": 0}

    def stop(path):
        if str(path).endswith("history.csv"):
            state["epochs"] += 1
            if state["epochs"] == epoch:
                raise KeyboardInterrupt
        return saved(path)

    monkeypatch.setattr(files, "writing", stop)
