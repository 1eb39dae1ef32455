from dnr_jax.data.builders.video import video_features


def test_features_need_nothing_but_names():
    features = video_features(('run', 'jump'))
    assert features['label'].names == ['run', 'jump']
    assert set(features) == {'video', 'frame_ends', 'label', 'id', 'num_frames', 'parameters'}
