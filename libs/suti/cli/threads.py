"""How many cores a command that computes itself takes."""

import os


def take_half_the_cores() -> None:
    """Torch computes with half of this machine's cores, unless OMP_NUM_THREADS says otherwise.

    Threads that wait for one another on cores that others hold are slower than one alone, by far.
    """
    import torch  # noqa: PLC0415 - seconds to import

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
