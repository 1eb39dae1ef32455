"""Whatever request a process dies at, a folder of the bucket that has its seal is whole."""

import pytest
from bucket import ASKED, FAULTS, OBJECTS

from dnr_jax.files import buckets
from dnr_jax.runs import copies, manifest
from dnr_jax.runs.copies import Copies


@pytest.fixture
def folder(bucket, monkeypatch):
    """Of the bucket; a request that fails is not tried again."""
    monkeypatch.setattr(buckets, 'PAUSES', ())
    monkeypatch.setattr(buckets, 'AT_ONCE', 1)
    return bucket / 'checkpoints'


@pytest.fixture
def local(tmp_path):
    """A sealed folder of this disk, in which Orbax has named some files anew, as it does at every save."""

    def sealed(text):
        for name in ('a', f'b/{text}', f'b/{text}.of_another_array'):
            path = tmp_path / text / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'{text} {name}')
        manifest.seal(tmp_path / text)
        return tmp_path / text

    return sealed


def damage(folder):
    with Copies() as made:
        return manifest.damage(made.of(folder))


def at_every_request(before, act):
    """Has `act` die at each of its requests, beginning with the objects `before`; yields after each of them."""
    OBJECTS.clear(), OBJECTS.update(before), ASKED.clear()
    act()
    for number in range(ASKED.total()):
        OBJECTS.clear(), OBJECTS.update(before)
        FAULTS[:] = [None] * number + [ConnectionError('killed')] * 1000
        with pytest.raises(buckets.BucketError):
            act()
        FAULTS.clear()
        yield number


def test_a_save(folder, local):
    one, two = local('one'), local('two')
    whole = []
    for _ in at_every_request({}, lambda: copies.push(one, folder / '1')):
        whole.append(copies.seals(folder).get('1', False))
        assert not whole[-1] or damage(folder / '1') is None
    assert whole[-1] is False and len(whole) == 6  # the seal is the last request
    copies.push(one, folder / '1')
    for _ in at_every_request(dict(OBJECTS), lambda: copies.push(two, folder / '1')):  # saved again, with scores
        assert not copies.seals(folder)['1'] or damage(folder / '1') is None
    copies.push(two, folder / '1')
    assert damage(folder / '1') is None


def test_what_goes(folder, local):
    copies.push(local('one'), folder / '1')
    before = dict(OBJECTS)
    for _ in at_every_request(before, lambda: copies.drop(folder / '1')):
        assert not copies.seals(folder).get('1') or damage(folder / '1') is None
    copies.drop(folder / '1')
    assert OBJECTS == {}
    for _ in at_every_request(before, lambda: copies.set_aside(folder / '1', folder / '1.damaged')):
        assert not copies.seals(folder).get('1') or damage(folder / '1') is None
    copies.set_aside(folder / '1', folder / '1.damaged')
    assert set(copies.seals(folder)) == {'1.damaged'} and len(OBJECTS) == len(before)


def test_a_copy_of_what_goes_is_no_whole_one(folder, local, monkeypatch):
    copies.push(local('one'), folder / '1')
    download = buckets.download

    def late(path, file):
        OBJECTS.pop('bucket/checkpoints/1/b/one', None)
        download(path, file)

    monkeypatch.setattr(buckets, 'download', late)
    assert damage(folder / '1') == 'b/one is missing'
    assert 'never finished' in damage(folder / '2')
