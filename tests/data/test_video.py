import pytest

from dnr_jax.data.builders.video import parallel_map, video_features


def test_features_need_nothing_but_names():
    features = video_features(('run', 'jump'))
    assert features['label'].names == ['run', 'jump']
    assert set(features) == {'video', 'label', 'id', 'num_frames', 'parameters'}


@pytest.mark.parametrize('workers', [0, 2])
def test_parallel_map_keeps_the_order(workers):
    tasks = [(number, 2) for number in range(40)]
    assert list(parallel_map(divmod, tasks, workers=workers)) == [divmod(*task) for task in tasks]


@pytest.mark.parametrize('workers', [0, 1])
def test_parallel_map_raises_what_the_function_raises(workers):
    with pytest.raises(ZeroDivisionError):
        list(parallel_map(divmod, [(1, 0)], workers=workers))
