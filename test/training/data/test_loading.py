"""What comes from worker processes, and what happens when it can't come."""

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from facial_attributes_training.data import loading
from facial_attributes_training.data.datasets import Draw, EpochBatches, Sample
from facial_attributes_training.data.loading import drawn_batches, worker_errors
from torch.utils.data import Dataset, get_worker_info
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from facial_attributes_ros.errors import UserError

ROWS = np.arange(12)


class Numbers(Dataset[Sample]):
    """Samples that hold their sample's number; what is given happens in a worker before sample 6."""

    def __init__(self, happens: Callable[[], object] = lambda: None) -> None:
        self.happens = happens

    def __getitem__(self, draw: Draw) -> Sample:
        if draw[0] == 6 and get_worker_info() is not None:
            self.happens()
        return Sample(draw[0], torch.full((3, 64, 64), draw[0], dtype=torch.uint8))


def received(data: Numbers, workers: int = 2) -> list[list[int]]:
    batches = drawn_batches(data, EpochBatches(ROWS, 0, 4), workers, pinned=False)
    found = []
    for batch in batches:
        assert (batch.inputs == torch.from_numpy(batch.rows)[:, None, None, None]).all()
        assert batch.inputs.dtype == torch.uint8
        found.append(batch.rows.tolist())
    return found


EXPECTED = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.fixture(autouse=True)
def anew():
    loading._warn_of_pipes.cache_clear()


def fill_shared_memory():
    """Let this process make no file of more than a few bytes, in shared memory either."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def lose_temporary_folder():
    multiprocessing.current_process()._config["tempdir"] = "/nowhere"


def test_shared_memory_is_used_where_it_is_large(caplog):
    assert received(Numbers()) == EXPECTED
    assert not caplog.text


def test_little_shared_memory_is_reported_once_and_loses_nothing(caplog, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_blocks=64, f_bavail=8, f_frsize=2**20))
    assert received(Numbers()) == received(Numbers()) == EXPECTED
    assert caplog.text.count("/dev/shm has 64 MB") == 1
    assert "--shm-size" in caplog.text


@pytest.mark.parametrize("happens", [fill_shared_memory, lose_temporary_folder])
def test_what_keeps_a_batch_from_shared_memory_does_not_keep_it_back(caplog, happens):
    assert received(Numbers(happens)) == EXPECTED
    assert "through pipes" in caplog.text


@pytest.mark.parametrize(
    "happens", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(0)], ids=["killed", "ended"]
)
def test_a_worker_that_is_gone_ends_the_run_with_a_sentence(happens, monkeypatch):
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))  # seconds between looks
    sentence = r"^a process that reads images has ended.*--resume, and with fewer workers"
    with pytest.raises(UserError, match=sentence), worker_errors():
        received(Numbers(happens))


def test_a_worker_passes_on_what_a_user_should_read():
    def fail():
        raise UserError("the archive a.tar can't be read.")

    with pytest.raises(UserError, match=r"^the archive a\.tar can't be read\.$"):
        received(Numbers(fail))


def test_without_room_for_locks_the_main_process_reads(caplog, monkeypatch):
    def no_room(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.multiprocessing, "Queue", no_room)
    assert received(Numbers()) == EXPECTED
    assert "the main process reads the images" in caplog.text
