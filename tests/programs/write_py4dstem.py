"""Write a data cube with py4DSTEM itself, which needs an older NumPy than the rest of the tests.

python write_py4dstem.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import py4DSTEM


def main() -> None:
    """Write a cube of 3 x 4 patterns of 16 x 18 pixels, calibrated."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    counts = np.random.default_rng(5).poisson(6, (3, 4, 16, 18)).astype(np.uint16)
    np.save(folder / "counts.npy", counts)
    cube = py4DSTEM.DataCube(data=counts)
    cube.calibration.set_R_pixel_size(5.0)
    cube.calibration.set_R_pixel_units("A")
    cube.calibration.set_Q_pixel_size(0.02)
    cube.calibration.set_Q_pixel_units("A^-1")
    py4DSTEM.save(str(folder / "cube.h5"), cube, mode="o")


if __name__ == "__main__":
    main()
