def test_from_nothing_to_pictures(ptycho, tmp_path, stand_in):
    done = ptycho("demo", "-o", tmp_path / "demo", "--nepochs", "2")
    assert done.code == 0, done.err
    pictures = [line.strip() for line in done.out.splitlines() if line.endswith(".png")]
    assert len(pictures) == 3
    for name in ("scan.npz", "evaluation.json", "evaluation.png", "model/wts.h5.zip"):
        assert (tmp_path / "demo" / name).is_file()
    assert "complex correlation" in done.out
    assert "1/4" in done.err
    config = stand_in.trainings[-1]["config"]
    assert config.nepochs == 2
    again = ptycho("demo", "-o", tmp_path / "demo")
    assert again.code == 3
    assert again.fails_with("--overwrite")
