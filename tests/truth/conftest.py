"""StreamRec's reference from 14 sound days, and what its generated alerts say of a window."""

from datetime import timedelta

import pytest
from streamrec_hours import BEGIN, SEED

from examples.alert_conditions import AlertConditions
from examples.replay import Replay
from examples.streamrec.simulate import training_table
from examples.streamrec.write import TRAINING_DAYS
from mlvitals.exporters.training.build import build_reference
from mlvitals.generator.spec.model import Spec


@pytest.fixture(scope="session")
def replay(streamrec: Spec) -> Replay:
    training = training_table(BEGIN - timedelta(days=TRAINING_DAYS), 24 * TRAINING_DAYS, seed=SEED)
    return Replay(streamrec, build_reference(streamrec, training, created=BEGIN, source_hash="training"))


@pytest.fixture(scope="session")
def conditions(streamrec: Spec) -> AlertConditions:
    return AlertConditions(streamrec)
