"""`python -m wavenet_app` runs the command `wavegen`, for launchers that start a module."""

from cli import main

if __name__ == "__main__":
    main()
