from ptycho import model, params


def test_it_is_the_dictionary_itself():
    params.set("intensity_scale", 2.5)
    assert model.params()["intensity_scale"] == 2.5
    assert model.params() is params.cfg
