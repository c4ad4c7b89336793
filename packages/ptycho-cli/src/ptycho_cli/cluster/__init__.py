"""Scans as the tasks of a cluster: what is submitted, what each task does, what became of it.

Queues, signals and logs are those of submitit; the work is that of the command on many scans.
"""
