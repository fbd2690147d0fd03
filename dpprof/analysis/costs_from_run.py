"""A cost profile from a measured run: what its components, operations and messages took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd
from msgspec.structs import replace

from dpprof.analysis.stage_costs import component_medians, in_both, overlaid, with_stages
from dpprof.costs.profile import CostProfile, MemoryCost, MessageCost
from dpprof.errors import DpprofError
from dpprof.runs.run import Run
from dpprof.schedules.actions import OVERLAPPED_PAIR, slot_operation, slot_text
from dpprof.schedules.components import COMMUNICATION_COMPONENTS, Component
from dpprof.simulate.stage_timing import schedule_timing
from dpprof.simulate.timing import ANY_RANK, OPERATIONS, timing_from_profile
from dpprof.tables.columns import (
    BYTES,
    COMPONENT,
    DIRECTION,
    END,
    EVENTS,
    GROUP,
    KIND,
    LAYER,
    MICRO_BATCH,
    OPERATION,
    PART,
    PEER,
    RANK,
    READY,
    SEQUENCE,
    SLOT,
    START,
    STEP,
    empty_table,
)
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE, FUSED

_P2P = "p2p"
_AT_ONCE = 0.05
"""Part of a message's time within which the next one follows it at once."""
_SERIAL_OFF = 0.03
"""Share by which slots are longer than their components would take on two lanes."""
_ALIKE = 0.01
"""Part of a slot by which ranks may differ in what passes before anything runs."""
_ERRORS = 3
"""Standard errors of its median by which a rank must differ, too."""
_OCCURRENCE = [RANK, STEP, SLOT, OPERATION, DIRECTION, MICRO_BATCH, PART, COMPONENT, LAYER]


def costs_from_run(
    run: Run, name: str = "measured", occurrences: pd.DataFrame | None = None
) -> CostProfile:
    """The costs of the used steps of a run; every figure is a median over all occurrences.

    A component's time is that in which its compute runs (union over lanes), that of dispatch and
    combine the transfer time of their communication; per layer, inside overlapped pairs apart
    from outside. What was seen only inside pairs is taken to cost the same outside. Operations
    whose slots show no components cost the length of the slot, for a chunk of one layer where no
    components tell the layers. Where stages differ, `model` and `stage_layers` say what each layer
    of each stage costs (`dpprof.analysis.stage_costs`). Components beside which nothing is seen to
    run are `serial_components`; what passes in a slot before anything runs is `slot_delay_ns`, and
    where ranks differ in it, `rank_delay_ns`. A
    message costs the transfer time of messages that both ranks show, as latency: its size is the
    same for all. Memory is that of the manifest, where it says. `occurrences` are those of
    `component_occurrences`, where they are known. Raises `DpprofError` for a run without slots or
    components.
    """
    lengths = component_occurrences(run) if occurrences is None else occurrences
    paired = (lengths[OPERATION] == OVERLAPPED_PAIR).to_numpy(bool)
    outside, inside = component_medians(lengths[~paired]), component_medians(lengths[paired])
    layers = max(1, 1 + int(lengths[LAYER].max())) if len(lengths) else 1
    delays = _slot_delays(run, set(lengths[OPERATION]))
    delay_ns = max(0, _median(delays["delay"]) or 0)
    operation_ns = _operation_ns(run, set(lengths[OPERATION]), delay_ns)
    if not outside and not inside and not operation_ns:
        raise DpprofError(
            f"{run.name}: no costs in this run, as nothing in it is labelled with slots or "
            "components; profile it with dpprof's labels, or give a cost profile"
        )
    profile = CostProfile(
        name=name,
        source=f"{run.source} run {run.name}",
        layers=layers,
        component_ns=overlaid(inside, outside),
        pair_component_ns=in_both(inside, outside),
        operation_ns=operation_ns,
        message=_message_cost(_used(run, run.held.communications)),
        slot_delay_ns=delay_ns,
        rank_delay_ns=_rank_delays_ns(run, delays),
        memory=_memory_cost(run, layers),
        tokens_per_micro_batch=_tokens(run),
    )
    return with_serial(with_stages(profile, run, lengths), run)


def component_occurrences(run: Run) -> pd.DataFrame:
    """A row per occurrence of a component in the used steps, with what it took as `length`."""
    ranks = [_occurrences(_component_rows(events)) for events in _rank_events(run)]
    found = [one for one in ranks if len(one)] or ranks[:1]
    return pd.concat(found, ignore_index=True) if found else _occurrences(_component_rows(_NONE))


_NONE = empty_table(EVENTS)


def _rank_events(run: Run) -> Iterator[pd.DataFrame]:
    """The events of one rank after another, in the used steps."""
    for rank in sorted(run.pp_rank):
        yield _used(run, run.held.of_rank(rank))


def _used(run: Run, events: pd.DataFrame) -> pd.DataFrame:
    return events[events[STEP].isin(run.used_steps)]


def with_serial(profile: CostProfile, run: Run) -> CostProfile:
    """The profile with the serial components that explain its slots' lengths, where any do.

    Slots that take three per cent longer than their components would on two lanes, and what they
    would to half as much or better were dispatch, combine or both to run alone, are taken to be so.
    """
    if not profile.component_ns:
        return profile
    names = sorted(component.value for component in COMMUNICATION_COMPONENTS)
    choices = [[], *([name] for name in names), names]
    off = [_length_error(replace(profile, serial_components=one), run) for one in choices]
    best = min(range(len(choices)), key=off.__getitem__)
    if off[0] <= _SERIAL_OFF or off[best] > off[0] / 2:
        return profile
    return replace(profile, serial_components=choices[best])


def _length_error(profile: CostProfile, run: Run) -> float:
    """By how much slots miss the profile's, as a share of their time; 0 without components."""
    slots = run.slots[run.slots[STEP].isin(run.used_steps) & run.slots[RANK].isin([*run.pp_rank])]
    foretold = _foretold_ns(profile, run, slots)
    lengths = (slots[END] - slots[START]).groupby(foretold)
    missed = total = 0.0
    for expected, length in lengths:
        if expected >= 0:
            missed += abs(float(length.median()) - expected) * len(length)
            total += float(length.median()) * len(length)
    return missed / total if total else 0.0


def _foretold_ns(profile: CostProfile, run: Run, slots: pd.DataFrame) -> pd.Series:
    """What each slot takes by the profile; -1 where its components are not known."""
    operations = slots[OPERATION].astype(str)
    if run.schedule is None:
        timing = timing_from_profile(profile)
        known = {
            operation: template.length_ns
            for operation in set(operations) & set(OPERATIONS) - set(profile.operation_ns)
            if (template := timing.templates.get((ANY_RANK, operation)))
        }
        return operations.map(known).fillna(-1)
    timing = schedule_timing(run.schedule, profile)
    known_slots = {
        (pp_rank, slot_text(slot)): timing.of_slot(pp_rank, slot).length_ns
        for pp_rank, own in enumerate(run.schedule.ranks)
        for slot in own
        if slot_operation(slot) not in profile.operation_ns
    }
    keys = zip(slots[RANK].map(run.pp_rank), slots[SLOT].astype(str), strict=True)
    values = [known_slots.get((int(rank), text), -1) for rank, text in keys]
    return pd.Series(values, index=slots.index)


def _component_rows(events: pd.DataFrame) -> pd.DataFrame:
    """Rows that belong to a component: compute, or for dispatch and combine communication."""
    names, kinds = events[COMPONENT].astype(str), events[KIND].astype(str)
    transfers = names.isin([component.value for component in COMMUNICATION_COMPONENTS])
    known = names.isin([component.value for component in Component])
    computing = kinds.isin([COMPUTE, FUSED])
    counted = (transfers & kinds.isin(COMMUNICATION_KINDS)) | (~transfers & computing)
    rows = events[known & counted]
    begin = rows[START].where(computing[rows.index], rows[[START, READY]].max(axis=1))
    return rows.assign(**{START: begin})


def _occurrences(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per occurrence of a component, with the time that its rows cover together."""
    number = rows.groupby(_OCCURRENCE, observed=True, dropna=False).ngroup()
    rows = rows.assign(number=number).sort_values(["number", START], kind="stable")
    reach = rows.groupby("number")[END].cummax()
    # Filled with a time, not NaN: a float64 does not hold the nanoseconds of an absolute clock.
    before = reach.groupby(rows["number"]).shift(fill_value=0)
    begin = rows[START].where(before < rows[START], before)
    rows = rows.assign(length=(rows[END] - begin).clip(lower=0))
    length = rows.groupby("number")["length"].sum()
    first = rows.drop_duplicates("number").set_index("number")[_OCCURRENCE]
    text = dict.fromkeys((SLOT, OPERATION, PART, COMPONENT), str)
    return first.astype(text).assign(length=length).reset_index(drop=True)


def _slot_delays(run: Run, with_components: set[str]) -> pd.DataFrame:
    """`delay`: how long nothing of a slot runs after it began; a row per slot with components."""
    keys = [RANK, STEP, SLOT]
    slots = run.slots[run.slots[STEP].isin(run.used_steps) & run.slots[RANK].isin([*run.pp_rank])]
    slots = slots[slots[OPERATION].astype(str).isin(with_components)]
    firsts = []
    for events in _rank_events(run) if len(slots) else ():
        running = events[(events[SLOT] != "") & (events[KIND] != _P2P)]
        first = running.groupby(keys, observed=True)[START].min().rename("first").reset_index()
        firsts.append(first.astype({SLOT: str}))
    if not firsts:
        return pd.DataFrame({RANK: [], "delay": [], "length": []}, dtype="int64")
    both = slots.astype({SLOT: str}).merge(pd.concat(firsts), on=keys)
    delay, length = both["first"] - both[START], both[END] - both[START]
    return pd.DataFrame({RANK: both[RANK], "delay": delay, "length": length})


def _rank_delays_ns(run: Run, delays: pd.DataFrame) -> list[int]:
    """The median delay of each pipeline rank; none where they are alike, or a rank shows none.

    Ranks are alike whose delay is that of all to one per cent of a slot, or to what it varies by.
    """
    usual, slot_ns = delays["delay"].median(), delays["length"].median()
    ranks = delays["delay"].groupby(delays[RANK].map(run.pp_rank))
    medians = ranks.median()
    spread = (ranks.quantile(0.75) - ranks.quantile(0.25)) / ranks.size() ** 0.5
    apart = (medians - usual).abs() > (_ERRORS * spread).clip(lower=_ALIKE * slot_ns)
    pp = 1 + max(run.pp_rank.values(), default=-1)
    if not apart.any() or len(medians) != pp:
        return []
    return [max(0, round(float(medians[rank]))) for rank in range(pp)]


def _operation_ns(run: Run, with_components: set[str], delay_ns: int) -> dict[str, int]:
    """operation -> median length after the delay, of those that show no components."""
    slots = run.slots[run.slots[STEP].isin(run.used_steps)]
    operation = slots[OPERATION].astype(str)
    medians = (slots[END] - slots[START]).groupby(operation).median()
    return {
        str(key): max(0, round(value) - delay_ns)
        for key, value in medians.items()
        if key and key not in with_components
    }


def edge_messages(run: Run) -> dict[tuple[int, int], MessageCost]:
    """What messages take by edge: the pipeline rank that sends, and the one that receives.

    Of the messages that both sides show, as `costs_from_run` has them of all edges together.
    """
    messages = _messages(_used(run, run.held.communications))
    bytes_, messages = _bytes_of(messages), _matched(messages)
    known = messages[messages[RANK].isin([*run.pp_rank]) & messages[PEER].isin([*run.pp_rank])]
    source, target = known[PEER].map(run.pp_rank), known[RANK].map(run.pp_rank)
    return {
        (int(str(pair[0])), int(str(pair[1]))): _cost_of(own, bytes_)
        for pair, own in known.groupby([source.to_numpy(), target.to_numpy()])
    }


def _message_cost(events: pd.DataFrame) -> MessageCost:
    messages = _messages(events)
    return _cost_of(_matched(messages), _bytes_of(messages))


def _messages(events: pd.DataFrame) -> pd.DataFrame:
    messages = events[(events[KIND].astype(str) == _P2P) & (events[SEQUENCE] >= 0)]
    return messages.assign(**{GROUP: messages[GROUP].astype(str)})


def _bytes_of(messages: pd.DataFrame) -> int:
    """The median of what either side shows; 0 where neither does."""
    return _median(messages.loc[messages[BYTES] >= 0, BYTES]) or 0


def _matched(messages: pd.DataFrame) -> pd.DataFrame:
    """The receiving side of messages that both sides show."""
    edge = messages[PEER].astype(str) + ">" + messages[RANK].astype(str)
    sides = messages.groupby([GROUP, STEP, SEQUENCE])[RANK].transform("nunique")
    return messages[(messages[GROUP] == edge) & (sides == 2)]


def _cost_of(matched: pd.DataFrame, bytes_: int) -> MessageCost:
    if matched.empty:
        return MessageCost()
    begin = matched[[START, READY]].max(axis=1)
    transfer_ns = max(0, round(float((matched[END] - begin).median())))
    if bytes_ and transfer_ns and _take_turns(matched.assign(begin=begin), transfer_ns):
        return MessageCost(bytes=bytes_, bytes_per_second=bytes_ / transfer_ns * 1e9)
    return MessageCost(bytes=bytes_, latency_ns=transfer_ns)


def _take_turns(messages: pd.DataFrame, transfer_ns: int) -> bool:
    """Whether messages of an edge are seen to follow each other at once, and never together."""
    ordered = messages.sort_values([GROUP, STEP, "begin"])
    keys = ordered[[GROUP, STEP]]
    same = (keys == keys.shift()).all(axis=1)
    between = (ordered["begin"] - ordered[END].shift())[same]
    together = (between < -_AT_ONCE * transfer_ns).any()
    return bool(not together and (between < _AT_ONCE * transfer_ns).any())


def _memory_cost(run: Run, layers: int) -> MemoryCost:
    """Per layer, the median over ranks; 0 where the manifest does not say."""
    static = {
        field: _median(
            known / (layers * max(1, len(place.stages)))
            for place in run.places
            if (known := getattr(place, field)) is not None
        )
        for field in ("parameter_bytes", "gradient_bytes", "optimizer_bytes")
    }
    activations = _median(
        place.activation_bytes / layers
        for place in run.places
        if place.activation_bytes is not None
    )
    known = {field: value for field, value in static.items() if value is not None}
    return MemoryCost(**known, activation_bytes=activations or 0)


def _median(values: Iterable[float]) -> int | None:
    series = pd.Series(list(values), dtype="float64")
    return None if series.empty else round(float(series.median()))


def _tokens(run: Run) -> int | None:
    manifest = run.manifest
    if manifest is None or not manifest.tokens_per_step or not manifest.micro_batches:
        return None
    return manifest.tokens_per_step // manifest.micro_batches
