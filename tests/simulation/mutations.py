"""The list of named bugs, and why one may survive."""

from __future__ import annotations

from tests.simulation import bugs_of_admission, bugs_of_runners
from tests.simulation.patches import Mutation

MUTATIONS = (
    Mutation("no compare-and-swap on the head", bugs_of_admission.no_compare_and_swap),
    Mutation("the redo list is not applied", bugs_of_admission.redo_list_not_applied),
    Mutation("unsettled applies are forgotten", bugs_of_admission.unsettled_applies_forgotten),
    Mutation(
        "a decision does not recognise itself",
        bugs_of_admission.commit_id_not_recognised,
        "taken for overtaken, it is read back from the table, redo list and all, before anybody decides again",
    ),
    Mutation("a lost decision is taken as made", bugs_of_admission.lost_decision_taken_as_made),
    Mutation("an overtaken gate is not read again", bugs_of_admission.gate_not_read_again),
    Mutation("a token is taken back without its fence", bugs_of_admission.requeue_without_fence),
    Mutation("a token is given without its fence", bugs_of_admission.grant_without_fence),
    Mutation(
        "a token is ended without its fence",
        bugs_of_admission.release_without_fence,
        "a release is decided for a run that is over, and nothing is ever granted for it again",
    ),
    Mutation("the fence does not grow", bugs_of_admission.fence_does_not_grow),
    Mutation("enqueueing is two writes", bugs_of_admission.enqueue_not_transactional),
    Mutation("a late enqueue begins a run anew", bugs_of_admission.token_may_come_back),
    Mutation("== instead of >= for the fleet's limit", bugs_of_admission.equals_instead_of_at_least),
    Mutation("a tenant's limit is off by one", bugs_of_admission.tenant_limit_off_by_one),
    Mutation("a workflow's limit is not read", bugs_of_admission.workflow_limit_not_read),
    Mutation("a resource's limit is not read", bugs_of_admission.resource_limit_not_read),
    Mutation(
        "a run is counted at its workflow and not at its resources", bugs_of_admission.only_the_first_scope_counts
    ),
    Mutation("a lowered limit is ignored", bugs_of_admission.lowered_limits_ignored),
    Mutation("limits are read once", bugs_of_admission.limits_read_once),
    Mutation("the held set is a counter", bugs_of_admission.counter_instead_of_set),
    Mutation("last come, first served", bugs_of_admission.last_come_first_served),
    Mutation("whoever holds most comes first", bugs_of_admission.flooding_tenant_first),
    Mutation("a slot is freed before its run is fenced off", bugs_of_admission.released_before_fenced_off),
    Mutation("a grant is revoked without a fence", bugs_of_admission.revoked_without_fence),
    Mutation("a run is fenced off without a condition", bugs_of_admission.fence_off_without_condition),
    Mutation("a grant is revoked without a condition", bugs_of_admission.revoke_without_condition),
    Mutation("a lease is judged too early", bugs_of_admission.lease_judged_too_early),
    Mutation(
        "a session is ended without a condition",
        bugs_of_admission.session_killed_without_condition,
        "whoever was silent for a lease has given itself up before, so there is nobody to be wronged",
    ),
    Mutation("a dead session is not noticed", bugs_of_admission.dead_sessions_unnoticed),
    Mutation(
        "a grant is not dispatched again", bugs_of_admission.no_redispatch, "after 15 s it is revoked and granted anew"
    ),
    Mutation("a grant is neither dispatched again nor revoked", bugs_of_admission.no_redispatch_no_revoke),
    Mutation("a claim without the fence", bugs_of_runners.claim_without_fence),
    Mutation("a claim without any condition", bugs_of_runners.claim_without_condition),
    Mutation("the lost answer of a claim is a failure", bugs_of_runners.lost_claim_is_a_failure),
    Mutation(
        "a commit without the fence",
        bugs_of_runners.commit_without_fence,
        "every change of owner adds a fact, so the number alone refuses the old owner",
    ),
    Mutation("a commit without fence and number", bugs_of_runners.commit_without_fence_or_number),
    Mutation("a commit without its number", bugs_of_runners.commit_without_number),
    Mutation(
        "a commit that follows anybody",
        bugs_of_runners.commit_follows_anybody,
        "whoever lost a run was silent for longer than the self-fence allows, and looks at that before it writes again",
    ),
    Mutation("a wish to cancel is overlooked", bugs_of_runners.wish_to_cancel_overlooked),
    Mutation("a run is cancelled without a condition", bugs_of_runners.cancelled_without_a_condition),
    Mutation("a cancelled run's token is deleted without a decision", bugs_of_admission.withdrawn_without_a_decision),
    Mutation("a terminal state is overwritten", bugs_of_runners.terminal_state_overwritten),
    Mutation("a commit that had landed is written again", bugs_of_runners.lost_commit_written_again),
    Mutation("no self-fence", bugs_of_runners.no_self_fence),
    Mutation("the self-fence comes after the lease", bugs_of_runners.self_fence_after_the_lease),
    Mutation("a self-fence that un-fences", bugs_of_runners.self_fence_that_unfences),
    Mutation("the relay skips a failed record", bugs_of_runners.relay_skips_a_failed_record),
    Mutation(
        "the dispatcher skips a failed record",
        bugs_of_runners.dispatcher_skips_a_failed_record,
        "the sweep sends an unclaimed grant again after 5 s",
    ),
    Mutation("records are settled before they are published", bugs_of_runners.settled_before_published),
    Mutation("a hint is deleted before it is decided on", bugs_of_runners.hint_deleted_before_decided),
    Mutation("the idempotency key is not in the transaction", bugs_of_runners.key_not_in_the_transaction),
)
