from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from search.augmentation import Augmentation, to_torch
from search.distillation import Teacher, distillation_loss, largest_teacher
from search.errors import TrainingError
from search.training import TrainingParams, train_network
from tests.search._stripes import SPACE, stripes_data, stripes_supernet

DATA = stripes_data()
IMAGES = to_torch(DATA.test_x)
LARGEST = SPACE.largest()


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    supernet = stripes_supernet()
    supernet.learn(lambda _: [LARGEST], epochs=6, rng=np.random.default_rng(0))
    return largest_teacher(supernet, SPACE)


def test_the_largest_network_teaches_with_the_shared_weights() -> None:
    supernet = stripes_supernet()
    supernet.learn(lambda _: [LARGEST], epochs=1, rng=np.random.default_rng(0))
    teacher = largest_teacher(supernet, SPACE)
    assert teacher.network.key == SPACE.lower(LARGEST).key
    torch.testing.assert_close(teacher.logits(IMAGES), supernet.logits(LARGEST, IMAGES), atol=1e-4, rtol=1e-4)
    # What the supernet learns afterwards is nothing to the teacher.
    before = teacher.identity
    supernet.learn(lambda _: [LARGEST], epochs=1, rng=np.random.default_rng(1))
    assert teacher.identity == before != largest_teacher(supernet, SPACE).identity


def test_an_answer_depends_on_its_image_alone(teacher: Teacher) -> None:
    together = teacher.logits(IMAGES)
    torch.testing.assert_close(torch.cat([teacher.logits(image[None]) for image in IMAGES]), together)
    assert not together.requires_grad


def test_a_teacher_goes_through_a_file(teacher: Teacher, tmp_path: Path) -> None:
    teacher.save(tmp_path / "teacher.safetensors")
    loaded = Teacher.load(tmp_path / "teacher.safetensors")
    assert loaded.identity == teacher.identity
    assert torch.equal(loaded.logits(IMAGES), teacher.logits(IMAGES))


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff" * 64])
def test_other_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "teacher.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match="does not hold a teacher"):
        Teacher.load(path)


def test_a_checkpoint_is_no_teacher(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    train_network(SPACE.lower(LARGEST), DATA, TrainingParams(epochs=1), checkpoint=path)
    with pytest.raises(TrainingError, match="does not hold a teacher"):
        Teacher.load(path)


def test_a_teacher_needs_weights() -> None:
    with pytest.raises(TrainingError, match="needs weights"):
        Teacher(SPACE.lower(LARGEST))


def test_the_loss_is_the_divergence_of_softened_classes() -> None:
    rng = np.random.default_rng(0)
    own, taught = (torch.from_numpy(rng.normal(size=(5, 3))) for _ in range(2))
    first, second = ((values / 2).softmax(1) for values in (own, taught))
    expected = (second * (second.log() - first.log())).sum(1).mean() * 4
    torch.testing.assert_close(distillation_loss(own, taught, 2.0), expected)
    assert distillation_loss(taught, taught, 2.0) == pytest.approx(0, abs=1e-12)


def test_who_is_taught_comes_closer_to_the_teacher(teacher: Teacher) -> None:
    pupil = SPACE.lower(SPACE.sample(np.random.default_rng(4)))
    params = TrainingParams(epochs=4, batch_size=32, augmentation=Augmentation(), distillation=1.0)
    taught, alone = (train_network(pupil, DATA, params, teacher=who) for who in (teacher, None))
    distances = [
        float((Teacher(trained.network).logits(IMAGES) - teacher.logits(IMAGES)).square().mean())
        for trained in (taught, alone)
    ]
    assert distances[0] < distances[1] / 2


def test_a_teacher_of_no_weight_teaches_nothing(teacher: Teacher) -> None:
    pupil = SPACE.lower(SPACE.sample(np.random.default_rng(4)))
    params = TrainingParams(epochs=1, batch_size=64, distillation=0.0)
    taught, alone = (train_network(pupil, DATA, params, teacher=who) for who in (teacher, None))
    assert taught.network == alone.network
