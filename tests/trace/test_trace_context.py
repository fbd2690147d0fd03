"""What launched device work: kinds, slots, components, steps, from a GPU trace made by hand."""

from __future__ import annotations

AUTOGRAD = 12
DISPATCH = "void dpsk::ep::internode::dispatch<>"
COMBINE = "void dpsk::ep::internode::combine<>"


def columns(table, *names):
    rows = zip(*(table[name].tolist() for name in names), strict=True)
    return list(rows)


def test_a_kernel_belongs_to_what_launched_it_not_to_when_it_ran(build) -> None:
    rank = build.tables(
        [
            build.step(3, 0, 10),
            build.step(4, 10, 10),
            build.annotation("1F1B", 0, 10),
            build.annotation("dispatch(B)", 1, 3),
            build.annotation("dispatch(B)", 5, 2),
            build.kernel(COMBINE, 2, 12, 5, stream=27),
            build.kernel("void at::native::elementwise_kernel<>", 2, 17, 1, stream=27),
            build.kernel("gemm", 4, 18, 1),
            build.kernel(DISPATCH, 6, 19, 1, stream=27),
            build.kernel("gemm", 12, 30, 1),
            build.kernel("gemm", 25, 31, 1),
        ]
    )
    found = columns(
        rank.events, "kind", "component", "part", "layer", "operation", "step", "lane", "launch_ns"
    )
    assert found == [
        ("dispatch", "dispatch", "I", 0, "F&B", 3, "stream 27", 2000),
        ("compute", "dispatch", "I", 0, "F&B", 3, "stream 27", 2000),
        ("compute", "", "", -1, "", 3, "stream 7", 4000),
        ("dispatch", "dispatch", "I", 1, "F&B", 3, "stream 27", 6000),
        ("compute", "", "", -1, "", 4, "stream 7", 12000),
        ("compute", "", "", -1, "", -1, "stream 7", 25000),
    ]
    assert columns(rank.steps, "rank", "step", "start_ns", "end_ns") == [
        (0, 3, 0, 10000),
        (0, 4, 10000, 20000),
    ]
    assert rank.marked == (3, 4)


def test_layers_count_from_zero_in_each_step(build) -> None:
    events = [build.step(0, 0, 10), build.step(1, 10, 10)]
    for start in (1, 5, 11):
        events += [build.annotation("mlp(W)", start, 2), build.kernel("gemm", start, start + 3, 1)]
    assert build.tables(events).events["layer"].tolist() == [0, 1, 0]


def test_autograds_threads_inherit_the_annotations_of_the_training_loop(build) -> None:
    rank = build.tables(
        [
            build.step(0, 0, 20),
            build.annotation("combine(B)", 1, 4),
            build.annotation("attn(B)", 6, 4),
            build.operator("autograd::engine::evaluate_function: X", 1, 10, AUTOGRAD),
            build.annotation("mlp(B)", 7, 1, AUTOGRAD),
            build.kernel(DISPATCH, 2, 12, 1, tid=AUTOGRAD),
            build.kernel("gemm", 7, 13, 1, tid=AUTOGRAD),
            build.kernel("gemm", 9, 14, 1, tid=AUTOGRAD),
            build.kernel(DISPATCH, 2, 15, 1, tid=99),
        ]
    )
    assert columns(rank.events, "kind", "component") == [
        ("combine", "combine"),
        ("compute", "mlp"),
        ("compute", "attention"),
        ("dispatch", ""),  # another thread's work is not the training loop's
    ]


def test_calls_decide_sendrecv_and_namesakes_follow_where_they_agree(build) -> None:
    name = "ncclDevKernel_SendRecv(ncclDevComm*)"
    early = build.span("kernel", name, 1, 1, 20, device=0, stream=20, correlation=999)
    events = [build.annotation("nccl:all_to_all", 2, 2), build.kernel(name, 3, 5, 1, stream=20)]
    rank = build.tables([early, *events])
    assert rank.events["kind"].tolist() == ["all_to_all", "all_to_all"]
    assert rank.explained["rule"].tolist() == [
        "as all others of this name on its lane",
        "call all_to_all",
    ]
    assert rank.explained["total_ns"].tolist() == [1000, 1000]
    events += [build.annotation("nccl:send 0->1", 6, 2), build.kernel(name, 7, 8, 1, stream=20)]
    mixed = build.tables([early, *events])
    assert mixed.events["kind"].tolist() == ["p2p", "all_to_all", "p2p"]


def test_metadata_of_kernels_and_of_the_call_around_their_launch(build) -> None:
    said = {
        "Collective name": "allreduce",
        "Process Group Name": "3",
        "Process Group Ranks": "[0, 1]",
        "dtype": "BFloat16",
        "In msg nelems": 100,
    }
    pipeline = {"Process Group Name": "7", "Process Group Ranks": "[0, 4, 5]"}
    send = {"Collective name": "send", "Dst Rank": 5, "dtype": "Half"} | pipeline
    receive = {"Collective name": "recv", "Src Rank": 4} | pipeline
    name = "ncclDevKernel_Generic(x)"
    rank = build.tables(
        [
            build.step(0, 0, 9),
            build.operator("record_param_comms", 1, 1, **said),
            build.kernel(name, 1.5, 10, 1),
            build.kernel(name, 3, 11, 1, **said),
            build.kernel("ncclDevKernel_SendRecv(x)", 4, 12, 1, **(send | {"In msg nelems": 8})),
            build.kernel("ncclDevKernel_SendRecv(x)", 5, 13, 1, **receive),
            build.kernel("gemm", 6, 14, 1),
        ]
    )
    assert columns(rank.events, "kind", "group", "peer", "bytes", "sequence") == [
        ("all_reduce", "3", -1, 200, 0),
        ("all_reduce", "3", -1, 200, 1),
        ("p2p", "0>5", 5, 16, 0),
        ("p2p", "4>0", 4, -1, 0),
        ("compute", "", -1, -1, -1),
    ]
    assert rank.identity.groups == {"3": (0, 1), "7": (0, 4, 5)}


def test_sequence_numbers_of_kineto_are_taken_where_a_group_has_them_all(build) -> None:
    said = {"Collective name": "allreduce", "Process Group Name": "0"}
    kernels = [
        build.kernel("ncclDevKernel_AllReduce", n, 10 + n, 1, Seq=41 + n, **said) for n in (1, 2)
    ]
    assert build.tables(kernels).events["sequence"].tolist() == [42, 43]
    kernels.append(build.kernel("ncclDevKernel_AllReduce", 3, 13, 1, **said))
    assert build.tables(kernels).events["sequence"].tolist() == [0, 1, 2]


def test_labels_on_a_gpu_describe_the_work_launched_in_them(build) -> None:
    label = "slot=F0.3&B1.2 action=B1.2 part=I component=dispatch layer=2 stage=1"
    rank = build.tables(
        [
            build.step(0, 0, 20),
            build.annotation("dpprof:slot slot=F0.3&B1.2", 1, 10),
            build.annotation(f"dpprof:dispatch {label} group=ep.0 bytes=64 sequence=7", 2, 3),
            build.kernel("ncclDevKernel_SendRecv(x)", 3, 30, 2, stream=20),
            build.kernel("permute", 4, 31, 2),
            build.kernel("gemm", 7, 33, 5),
            build.kernel("gemm", 12, 40, 5),
        ]
    )
    found = columns(
        rank.events, "kind", "slot", "direction", "micro_batch", "component", "layer", "stage"
    )
    assert found == [
        ("dispatch", "F0.3&B1.2", 1, 2, "dispatch", 2, 1),
        ("compute", "F0.3&B1.2", 1, 2, "dispatch", 2, 1),
        ("compute", "F0.3&B1.2", -1, -1, "", -1, -1),
        ("compute", "", -1, -1, "", -1, -1),
    ]
    assert columns(rank.events, "group", "bytes", "sequence")[:2] == [("ep.0", 64, 7), ("", -1, -1)]
    assert columns(rank.slots, "rank", "step", "start_ns", "end_ns", "slot", "operation") == [
        (0, 0, 30000, 38000, "F0.3&B1.2", "F&B")
    ]


def test_work_of_unknown_launch_belongs_to_its_neighbours_step(build) -> None:
    def lost(ts, stream=7):
        return build.span("kernel", "k", ts, 1, stream, device=0, stream=stream, correlation=0)

    rank = build.tables(
        [
            build.step(0, 0, 10),
            build.step(1, 10, 10),
            lost(1),
            build.kernel("k", 2, 3, 1),
            lost(5),
            build.kernel("k", 6, 7, 1),
            lost(9),
            build.kernel("k", 12, 13, 1),
            lost(5, stream=8),  # of a stream without launches: by the time of the others
        ]
    )
    assert rank.events["step"].tolist() == [-1, 0, 0, 0, -1, 1, 0]


def test_lanes_name_the_device_where_there_are_several(build) -> None:
    rank = build.tables(
        [build.kernel("a", 1, 2, 1), build.kernel("b", 3, 4, 1, device=1, stream=9)]
    )
    assert rank.events["lane"].tolist() == ["device 0 stream 7", "device 1 stream 9"]
    old = build.span("Kernel", "c", 1, 1, "stream 7", device=0)
    assert build.tables([old]).events["lane"].tolist() == ["stream 7"]


def test_unknown_names_on_a_stream_of_communication_are_warned_of(build) -> None:
    rank = build.tables(
        [
            build.kernel(DISPATCH, 1, 10, 10, stream=27),
            build.kernel("mystery", 2, 20, 1, stream=27),
            build.kernel("void cuda::per_token_cast<>", 3, 21, 1, stream=27),
            build.kernel("mystery2", 3, 21, 1, stream=7),
        ]
    )
    (unknown,) = rank.unknown
    assert (unknown.name, unknown.activities, unknown.total_ns) == ("mystery", 1, 1_000)


def test_a_trace_without_activities_gives_empty_tables(build) -> None:
    rank = build.tables([])
    assert (len(rank.events), len(rank.slots), len(rank.memory), len(rank.steps)) == (0, 0, 0, 0)
    assert rank.warnings == ("holds no device activity",)
