"""The routine of lab 19 on faults that are injected side by side. PODLAB_CLINICS says how often:
``PODLAB_CLINICS=10 pytest tests/cluster/test_clinic.py`` takes half an hour."""

import os

import pytest

from labhelpers import start
from labhelpers.proofs import Proofs

pytestmark = [pytest.mark.cluster, pytest.mark.rota(group="load")]

PROOFS = Proofs("19-troubleshooting")
CLINICS = int(os.environ.get("PODLAB_CLINICS", "1"))


@pytest.mark.parametrize("number", range(CLINICS))
def test_the_routine_finds_every_injected_fault(number):
    lab = start(f"clinic-{number}")
    try:
        clinic = PROOFS.module.admit(lab, seed=number)
        PROOFS.module.wait_for_symptoms(lab, clinic)
        shown = PROOFS.of("N5")(lab, clinic)
        print(number, shown.sentence)
        wrong = [
            row for row in shown.what.to_dict("records") if row["injected"] != row["the routine"]
        ]
        assert "found 13 of 13 injected causes, with at most 3 commands" in shown.sentence, wrong
        assert "lab.diagnose found 13 of 13" in shown.sentence, shown.what["lab.diagnose"].tolist()
    finally:
        lab.finish()
