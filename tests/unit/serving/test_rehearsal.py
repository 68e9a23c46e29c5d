"""Prevents that a release which is too large, or kills what loads it, takes the service down."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from serving.rehearsal import rehearse
from serving.release import CASES, MODEL, ReleaseInvalid
from tests.unit.serving.bundles import change_byte, onnx_model, promote, publish, write_bundle
from tests.unit.serving.test_watcher import Followed

GIB = 2**30


def _hungry_model() -> bytes:
    """A few bytes that become 8 GiB as soon as they are loaded."""
    model = onnx.load_from_string(onnx_model(1))
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [2 * GIB])
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["huge"]))
    model.graph.output.append(helper.make_tensor_value_info("huge", TensorProto.FLOAT, [2 * GIB]))
    content: bytes = model.SerializeToString()
    return content


def test_a_sound_release_passes(releases: Path) -> None:
    """Prevents that a large model is never served."""
    write_bundle(releases, 1)
    rehearse(releases, promote(releases, 1, epoch=1), memory_bytes=4 * GIB)


def test_a_release_that_needs_more_memory_is_refused(releases: Path) -> None:
    """Prevents that the service is what runs out of it."""
    write_bundle(releases, 1, model=_hungry_model())
    with pytest.raises(ReleaseInvalid, match=rf"^{MODEL}: .*"):
        rehearse(releases, promote(releases, 1, epoch=1), memory_bytes=4 * GIB)


def test_an_unsound_release_is_refused_with_its_own_reason(releases: Path) -> None:
    """Prevents that every fault looks like one of memory."""
    bundle = write_bundle(releases, 1)
    pointer = promote(releases, 1, epoch=1)
    change_byte(bundle / CASES)
    with pytest.raises(ReleaseInvalid, match=rf"^{CASES}: is [0-9]+ bytes of sha256"):
        rehearse(releases, pointer, memory_bytes=4 * GIB)


def test_so_little_memory_that_nothing_starts_is_said(releases: Path) -> None:
    """Prevents an empty reason where the process died without a word."""
    write_bundle(releases, 1)
    with pytest.raises(ReleaseInvalid, match="cannot be loaded within 64 MiB"):
        rehearse(releases, promote(releases, 1, epoch=1), memory_bytes=64 * 2**20)


def test_a_release_of_that_size_is_rehearsed_before_it_is_served(releases: Path) -> None:
    """Prevents that the rehearsal is there and nobody asks for it."""
    publish(releases, 1)
    followed = Followed(releases, rehearse_bytes=0, rehearse_memory_bytes=64 * 2**20)
    assert followed.look() is None
    assert "cannot be loaded within 64 MiB" in str(followed.reason)
    assert Followed(releases, rehearse_bytes=0).look() == (1, 1)
    assert Followed(releases, rehearse_memory_bytes=64 * 2**20).look() == (1, 1)
