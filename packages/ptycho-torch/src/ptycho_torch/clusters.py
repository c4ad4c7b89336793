"""Which processes of a cluster job work together."""

import os

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.fabric.utilities.rank_zero import rank_zero_only
from ptycho_config import InvalidValueError, PyTorchExecutionConfig

__all__ = ["cluster_environment"]


def cluster_environment(execution: PyTorchExecutionConfig) -> ClusterEnvironment | None:
    """Return who starts the processes of a run, and numbers them; None lets Lightning find out.

    A run with one device is alone in every environment: the tasks of a job are then runs of their
    own. Several devices of a Slurm job are tasks of one ``srun``; in a job of one task, Lightning
    starts the other processes, as it does outside of Slurm.

    Raises
    ------
    InvalidValueError
        The launcher started another number of processes than there are devices.
    RuntimeError
        Slurm was not told how many tasks a node has.
    """
    if execution.device_count == 1:
        rank_zero_only.rank = 0  # Lightning has set it to the number of the task
        return LightningEnvironment()
    if TorchElasticEnvironment.detect():
        _check_number("torchrun", "WORLD_SIZE", execution)
        return TorchElasticEnvironment()
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        _check_number("srun", "SLURM_STEP_NUM_TASKS", execution)
        # Slurm's signal before the end of the time stops the command, which may be resumed.
        return SLURMEnvironment(auto_requeue=False)
    return LightningEnvironment() if "SLURM_JOB_ID" in os.environ else None


def _check_number(launcher: str, variable: str, execution: PyTorchExecutionConfig) -> None:
    started, wanted = int(os.environ[variable]), execution.device_count
    if started != wanted:
        rule = f"{started}, the number of processes that {launcher} started"
        got = f"{execution.devices} x {execution.num_nodes}"
        advice = "start one for each device, or give each its own scan and one device"
        raise InvalidValueError("devices x num_nodes", rule, got, advice)
