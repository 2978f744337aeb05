"""Whose events a user has, ours or legacy's, as the API would say it now."""

from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from serving.follow.arms import Arms


def in_arms(runtime: Runtime, plan: SequencePlan, user: str) -> SequencePlan:
    """
    Raises:
        NotReady: where an event type stands cannot be read.
    """
    if not plan.arms:
        return plan
    arms = Arms()
    arms.refresh(runtime.home, runtime.release)
    return arms.plan(plan, user)
