from __future__ import annotations

from preceptor.data.augment.policies import POLICIES


def test_every_policy_can_be_made_by_name_alone() -> None:
    assert {name: kind.load()().replaces_samples for name, kind in POLICIES.items()} == {
        "real": False,
        "mixup": True,
        "cutmix": True,
        "mixpatch": True,
        "kd_plus": True,
        "function_matching": True,
        "noise": True,
    }
