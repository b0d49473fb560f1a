from suti.toyworld.seeds import Namespace, namespace_of, subject_of, view_seed


def test_no_evaluation_subject_occurs_in_training_or_in_crawls() -> None:
    evaluation = {subject_of(Namespace.EVALUATION, number) for number in range(2_000)}
    training = {subject_of(Namespace.TRAIN, number, seed=number % 3) for number in range(50_000)}
    crawled = {subject_of(Namespace.CRAWL, number) for number in range(2_000)}

    assert not evaluation & training
    assert not evaluation & crawled
    assert not training & crawled


def test_which_namespace_a_subject_belongs_to_is_settled_by_its_traits() -> None:
    for namespace in Namespace:
        for seed in (0, 1):
            assert namespace_of(subject_of(namespace, 3, seed=seed)) is namespace


def test_seeds_of_views_differ_between_namespaces_subjects_and_views() -> None:
    seeds = {view_seed(space, number, view) for space in Namespace for number in range(20) for view in range(20)}
    assert len(seeds) == 3 * 20 * 20
