"""Files of a run: they belong to the command or to the arguments of a call, not to the settings.

A configuration is independent of the location of the data, so a bundle contains no paths.
"""

from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import attrs

from ptycho_config.aliases import warn_deprecated
from ptycho_config.checks import as_optional_path, validate
from ptycho_config.options import about, documented

C = TypeVar("C")


@documented
@attrs.frozen(kw_only=True)
class RunFiles:
    """Files that a training or a reconstruction reads and writes.

    Raises
    ------
    ConfigError
        With every violation, each naming field, rule and received value.
    """

    GROUP: ClassVar[str] = "Files"

    train_data_file: Path | None = attrs.field(
        default=None,
        converter=as_optional_path,
        metadata=about(
            "Scan to train on.",
            legacy="train_data_file_path",
            none_means="the argument of the command",
            example="scan.npz",
        ),
    )
    test_data_file: Path | None = attrs.field(
        default=None,
        converter=as_optional_path,
        metadata=about(
            "Scan to validate a training on after each epoch; in a reconstruction, its scan.",
            legacy="test_data_file_path",
            none_means="a part of the training scan",
            example="validation.npz",
        ),
    )
    probe_file: Path | None = attrs.field(
        default=None,
        converter=as_optional_path,
        metadata=about(
            "NPZ file with an array 'probe' or 'probeGuess' to use instead of the scan's probe.",
            none_means="the probe of the scan",
            example="probe.npz",
            legacy=None,
        ),
    )
    model_path: Path | None = attrs.field(
        default=None,
        converter=as_optional_path,
        metadata=about(
            "Trained bundle to reconstruct with: the file, or the folder that holds it.",
            none_means="the argument of the command",
            example="model",
        ),
    )
    output_dir: Path | None = attrs.field(
        default=None,
        converter=as_optional_path,
        metadata=about(
            "Folder to write to.",
            legacy="output_prefix",
            none_means="the argument of the command",
            example="model",
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Check all fields."""
        validate(self)


def without_files(cls: type[C]) -> type[C]:
    """Let a configuration class take the files of a run, which earlier versions kept in it.

    They are dropped with a DeprecationWarning: the calls take the scan, the bundle and the folder
    as arguments.
    """
    init = cls.__init__
    files = {field.name for field in attrs.fields(RunFiles)}

    @wraps(init)
    def without(self: C, **settings: Any) -> None:
        for name in sorted(files & settings.keys()):
            del settings[name]
            warn_deprecated(f"{cls.__name__}({name}=...)", "the argument of the call")
        init(self, **settings)

    cls.__init__ = without  # type: ignore[assignment, method-assign]  # takes more settings
    return cls
