"""Following a graph of provenance, drawn by hand."""

from suti.stages.provenance import Kind, Node, ProvenanceGraph, node_id


def graph() -> ProvenanceGraph:
    """Source <- cluster <- two experts <- checkpoint."""
    made = ProvenanceGraph()
    made.add(Node("source:a", Kind.SOURCE))
    made.add(Node("cluster:c", Kind.CLUSTER), origins=["source:a"])
    made.add(Node("expert:1", Kind.EXPERT), origins=["cluster:c"])
    made.add(Node("expert:2", Kind.EXPERT), origins=["cluster:c"])
    made.add(Node("checkpoint:x", Kind.CHECKPOINT), origins=["expert:1", "expert:2"])
    return made


def test_back_leads_to_the_source_nearest_first_and_each_thing_once() -> None:
    answer = graph().follow(["checkpoint:x"], forward=False, max_nodes=10)

    assert [node.id for node in answer.nodes] == ["checkpoint:x", "expert:1", "expert:2", "cluster:c", "source:a"]
    assert ("expert:1", "cluster:c") in answer.edges
    assert not answer.truncated


def test_forward_leads_to_all_that_a_source_touched_with_edges_the_same_way_round() -> None:
    answer = graph().follow(["source:a"], forward=True, max_nodes=10)

    assert {node.id for node in answer.nodes} == {"source:a", "cluster:c", "expert:1", "expert:2", "checkpoint:x"}
    assert ("cluster:c", "source:a") in answer.edges


def test_an_answer_that_is_cut_short_says_so() -> None:
    answer = graph().follow(["checkpoint:x"], forward=False, max_nodes=2)

    assert [node.id for node in answer.nodes] == ["checkpoint:x", "expert:1"]
    assert answer.truncated


def test_what_is_learnt_of_a_thing_later_is_added_to_what_is_known() -> None:
    made = graph()
    made.add(Node("cluster:c", Kind.CLUSTER, facts={"page": "p"}))
    made.add(Node("cluster:c", Kind.CLUSTER, facts={"size": "3"}))

    assert made.nodes["cluster:c"].facts == {"page": "p", "size": "3"}


def test_an_id_is_its_kind_and_its_names() -> None:
    assert node_id(Kind.VERDICT, "01RUN", "ab") == "verdict:01RUN:ab"
