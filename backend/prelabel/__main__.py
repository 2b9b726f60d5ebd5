"""`python -m prelabel`: the `prelabel` command, also for torchrun, which starts modules."""

from prelabel.cli import main

if __name__ == "__main__":
    main()
